package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"waybill.example/devstack/stack"
)

// webhookSecret is for the drill's own receiver, which it is known to.
const webhookSecret = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// notice is one notification, as a person gets it.
type notice struct {
	ID, Type, Subject string
	Data              struct {
		Summary  string
		Commands []string
		Count    int64
	}
	attempts int
}

func (n *notice) needed() bool { return strings.HasSuffix(n.Type, ".needed") }

// webhook receives what the orchestrator reports. It does not take the first attempt of the first
// notification.
type webhook struct {
	listener net.Listener
	server   http.Server
	verifier *standardwebhooks.Webhook

	mu       sync.Mutex
	notices  []*notice // in the order in which they came first
	unsigned int
}

func newWebhook() (*webhook, error) {
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		return nil, fmt.Errorf("make the webhook's secret: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for notifications: %w", err)
	}
	w := &webhook{listener: listener, verifier: verifier}
	w.server = http.Server{Handler: http.HandlerFunc(w.receive), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }() // until Close
	return w, nil
}

// Close implements io.Closer.
func (w *webhook) Close() error { return w.server.Close() }

// settings are what the orchestrator needs to know of it.
func (w *webhook) settings() []string {
	return []string{
		"NOTIFY_WEBHOOK_URL=http://" + w.listener.Addr().String() + "/", "NOTIFY_WEBHOOK_SECRET=" + webhookSecret,
		"NOTIFY_EVERY=500ms", "NOTIFY_AFTER=2s",
	}
}

func (w *webhook) receive(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	if err == nil {
		err = w.verifier.Verify(body, request.Header)
	}
	n := &notice{}
	if err == nil {
		err = json.Unmarshal(body, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.unsigned++
		http.Error(answer, "this is no signed notification", http.StatusBadRequest)
		return
	}
	i := slices.IndexFunc(w.notices, func(known *notice) bool { return known.ID == n.ID })
	if i < 0 {
		i = len(w.notices)
		w.notices = append(w.notices, n)
	}
	w.notices[i].attempts++
	if i == 0 && w.notices[0].attempts == 1 {
		http.Error(answer, "not now", http.StatusServiceUnavailable)
		return
	}
	answer.WriteHeader(http.StatusNoContent)
}

// taken returns the notifications of a cause that were taken.
func (w *webhook) taken(subject string) (all []notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range w.notices {
		if strings.HasPrefix(n.Subject, subject) && (i > 0 || n.attempts > 1) {
			all = append(all, *n)
		}
	}
	return all
}

// notifying is the environment of the processes, with a webhook of the drill's own.
func (s *Environment) notifying(env map[string][]string) (map[string][]string, error) {
	w, err := newWebhook()
	if err != nil {
		return nil, err
	}
	s.webhook = w
	s.closers = append(s.closers, w)
	env = maps.Clone(env)
	if env == nil {
		env = map[string][]string{}
	}
	env[stack.Orchestrator] = slices.Concat(env[stack.Orchestrator], w.settings())
	return env, nil
}

// notifiedWithin bounds the wait for a notification: one that was not taken comes again after 15 s.
const notifiedWithin = time.Minute

// notified waits until a person was notified of a cause, and returns that notification; or of its
// end.
func (s *Environment) notified(ctx context.Context, subject string, needed bool) (last notice, err error) {
	what := map[bool]string{true: "a person is notified of ", false: "a person is notified of the end of "}[needed]
	err = s.Until(ctx, notifiedWithin, what+subject, func(context.Context) (bool, error) {
		all := s.webhook.taken(subject)
		if len(all) == 0 {
			return false, errors.New("no notification about it was taken")
		}
		last = all[len(all)-1]
		return last.needed() == needed, nil
	})
	return last, err
}

// calm waits until nothing is the matter with a subject, as far as a person was notified.
func (s *Environment) calm(ctx context.Context, subject string) error {
	return s.Until(ctx, notifiedWithin, subject+" is nobody's concern", func(context.Context) (bool, error) {
		all := s.webhook.taken(subject)
		return len(all) == 0 || !all[len(all)-1].needed(), nil
	})
}

// follow runs the command of a notification that begins with some words, as it was reported, with
// more behind it.
func (s *Environment) follow(ctx context.Context, n notice, words string, more ...string) error {
	for _, command := range n.Data.Commands {
		if strings.HasPrefix(command, words) {
			_, err := s.shell(ctx, strings.Join(append([]string{command}, more...), " "))
			return err
		}
	}
	return fmt.Errorf("the notification %q proposes no %s, but %q", n.Data.Summary, words, n.Data.Commands)
}
