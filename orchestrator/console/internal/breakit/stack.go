package breakit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"waybill.example/orchestrator/console/internal/page"
)

// actions are what can be done to a process.
var actions = []string{"kill", "freeze", "thaw", "stop", "start"}

// process is one of the stack's, as its control socket says.
type process struct {
	Name  string `json:"name"`
	Pid   int    `json:"pid,omitzero"`
	Addr  string `json:"addr"`
	State string `json:"state"` // running, frozen, stopped or "not ours"
}

// stack is a running development stack. It listens on a socket in its directory, which only its
// user can open. The protocol is devstack/stack's, which is imported by tests only.
type stack struct {
	control *http.Client
	ready   *http.Client
}

// readyWithin is what a process has to say whether it is ready. A service that waits for a frozen
// broker or database says so after a second, and must not be said to be silent.
const readyWithin = 2 * time.Second

func newStack(dir string) *stack {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "control.sock"))
	}
	return &stack{
		control: &http.Client{Transport: &http.Transport{DialContext: dial, IdleConnTimeout: time.Minute}},
		ready:   &http.Client{Timeout: readyWithin, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

func (s *stack) processes(ctx context.Context) ([]process, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	body, err := s.ask(ctx, http.MethodGet, "/processes")
	if err != nil {
		return nil, err
	}
	var all []process
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("read the processes of the stack: %w", err)
	}
	return all, nil
}

// actWithin bounds an action. One is over when what it asks for is so: Postgres may have to
// recover.
const actWithin = 2 * time.Minute

// act does something to a process. A start returns at once: to watch it is what one is here for.
func (s *stack) act(ctx context.Context, action, name string) error {
	ctx, cancel := context.WithTimeout(ctx, actWithin)
	defer cancel()
	if action == "start" {
		action = "launch"
	}
	_, err := s.ask(ctx, http.MethodPost, page.Path("/processes/%s/%s", name, action))
	return err
}

func (s *stack) ask(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the stack: %w", err)
	}
	response, err := s.control.Do(request)
	if err != nil {
		return nil, errors.New("no stack runs there; make up starts one")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer of the stack: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

// isServer says whether a process has no readiness page: servers run, or not.
func isServer(name string) bool {
	base, _, _ := strings.Cut(name, "-") // broker-1 is one of several
	return base == "postgres" || base == "broker"
}

const silent = "does not answer"

// readiness is why a process that should be ready is not; empty: it is.
func (s *stack) readiness(ctx context.Context, p process) string {
	switch {
	case isServer(p.Name), p.State == "stopped", p.State == "not ours":
		return ""
	case p.State == "frozen":
		return silent // which nobody need wait for
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+"/readyz", nil)
	if err != nil {
		return "its address is none"
	}
	response, err := s.ready.Do(request)
	if err != nil {
		return silent
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what there is of it is enough
	if response.StatusCode == http.StatusOK {
		return ""
	}
	return unready(body)
}

// unready is what a readiness page complains of.
func unready(body []byte) string {
	var said struct {
		Checks map[string]string `json:"checks"`
	}
	_ = json.Unmarshal(body, &said) // what is none is not shown
	var parts []string
	for _, name := range sorted(said.Checks) {
		if text := said.Checks[name]; text != "ok" && text != "" {
			parts = append(parts, name+": "+text)
		}
	}
	if len(parts) == 0 {
		return "is not ready"
	}
	return strings.Join(parts, "; ")
}
