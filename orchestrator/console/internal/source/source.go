// Package source is where the console gets what it shows: the HTTP APIs of the four services. It
// reads no database. What it reads it keeps for a second, so that fifty open pages cost what one
// costs, and for some minutes longer in case that a service becomes unavailable: then a page shows
// what was last known, and says so.
//
// It reads with the credentials of the orchestrator, as explain does; who may see what is decided
// by the page, which knows the role of its reader. It changes with the token of the operator, so
// that each service's own rules apply and its audit log names who it was.
package source

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/session"
)

// Limits of reading.
const (
	// readTimeout is what a service has to answer; a page says then that it does not.
	readTimeout = 2 * time.Second
	// fresh is how long an answer is passed on without asking again. It is shorter than the time
	// between two looks of a page.
	fresh = time.Second
	// lastKnown is how long the last answer of a service that is unavailable is shown.
	lastKnown = 15 * time.Minute
)

// Sources are the services. One whose client is nil is not configured.
type Sources struct {
	Orchestrator, Orders, Inventory, Relay *Client
	// Audit is the watch beside the system. It is no service: no page depends on it.
	Audit *Client
}

// Config says where the services are.
type Config struct {
	// API is the orchestrator's own, in this process.
	API                      http.Handler
	Orders, Inventory, Relay Service
	// Audit is the URL of the watch; empty: there is none.
	Audit string
	// Masked: the services hide fields of payloads from some roles, so that what is read for one
	// person is not what another may see.
	Masked bool
}

// Service is where a service answers HTTP; an empty URL: it is not asked. ReadToken is what it is
// shown to read; empty: the token of the person who looks.
type Service struct{ URL, ReadToken string }

// New returns the sources.
func New(c Config) *Sources {
	own := apiclient.Flags{URL: "http://orchestrator.internal"}.Client("orchestrator", "ORCHESTRATOR").Via(inProcess{c.API})
	audit := remote(Service{URL: c.Audit}, "audit", "AUDIT", false)
	if audit != nil {
		audit.open = true // it needs none, and is no service of ours to trust with one
	}
	return &Sources{
		Orchestrator: &Client{name: "orchestrator", inside: true, masked: c.Masked, with: func(string) apiclient.Client { return own }},
		Orders:       remote(c.Orders, "orders", "ORDERS", c.Masked),
		Inventory:    remote(c.Inventory, "inventory", "INVENTORY", c.Masked),
		Relay:        remote(c.Relay, "relay", "RELAY", c.Masked),
		Audit:        audit,
	}
}

func remote(s Service, name, prefix string, masked bool) *Client {
	if s.URL == "" {
		return nil
	}
	return &Client{name: name, readToken: s.ReadToken, masked: masked, with: func(token string) apiclient.Client {
		return apiclient.Flags{URL: s.URL, Token: token, Insecure: true}.Client(name, prefix)
	}}
}

// All are those that are configured, the orchestrator first.
func (s *Sources) All() []*Client {
	all := make([]*Client, 0, 4)
	for _, c := range []*Client{s.Orchestrator, s.Orders, s.Inventory, s.Relay} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// Client asks one service. It is safe for concurrent use; a nil one is a service that is not
// configured, which answers nothing.
type Client struct {
	name      string
	readToken string
	inside    bool // in this process
	open      bool // it is shown no token
	masked    bool // it answers roles differently
	with      func(token string) apiclient.Client
	cache     cache
}

// Name is what the service is called.
func (c *Client) Name() string { return c.name }

// NotConfigured is the error of a service whose address nobody has set.
type NotConfigured struct{}

func (NotConfigured) Error() string { return "where this service is has not been configured" }

// Get reads path. Where the service does not answer, it returns what it last answered, and no
// error; the page that asks is marked as stale either way (see [Collect]). The error is an
// [*apiclient.Refusal] where the service answered so, a [NotConfigured], and otherwise an
// [*apiclient.Unreachable].
func Get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return GetWithin[T](ctx, c, path, fresh)
}

// GetWithin is Get for an answer that may be as old as maxAge: what is dear, or changes rarely.
// After a change through the console it is asked for again all the same.
func GetWithin[T any](ctx context.Context, c *Client, path string, maxAge time.Duration) (T, error) {
	var value T
	if c == nil {
		return value, NotConfigured{}
	}
	answer, err := c.read(ctx, path, maxAge)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(answer, &value); err != nil {
		return value, fmt.Errorf("read the answer of the %s: %w", c.name, err)
	}
	return value, nil
}

// nowTimeout is what an answer may take that asks others in turn.
const nowTimeout = 10 * time.Second

// Now reads path as [Get] does, but past what was read before and with more time: an explanation,
// which asks others in turn, or a preview. It does not mark the page.
func Now[T any](ctx context.Context, c *Client, path string) (T, error) {
	var value T
	if c == nil {
		return value, NotConfigured{}
	}
	ctx, cancel := context.WithTimeout(ctx, nowTimeout)
	defer cancel()
	answer, err := c.fetch(ctx, path)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(answer, &value); err != nil {
		return value, fmt.Errorf("read the answer of the %s: %w", c.name, err)
	}
	return value, nil
}

// read returns the answer to a GET, from the cache if it is fresh, and notes for the page how the
// service answered.
func (c *Client) read(ctx context.Context, path string, maxAge time.Duration) ([]byte, error) {
	a := c.ask(ctx, path, maxAge)
	note(ctx, c.name, a)
	return a.body, a.err
}

// Answer is what a source answered, and when.
type Answer struct {
	Body []byte
	At   time.Time
	// Stale is why the source could not be asked since At; nil: Body is current.
	Stale error
}

// Aside reads what a page can do without, and passes it on for as long as maxAge: what is dear, and
// good enough when it is some seconds old. It does not mark the page.
func (c *Client) Aside(ctx context.Context, path string, maxAge time.Duration) (Answer, error) {
	if c == nil {
		return Answer{}, NotConfigured{}
	}
	a := c.ask(ctx, path, maxAge)
	return Answer{a.body, a.at, a.stale}, a.err
}

func (c *Client) ask(ctx context.Context, path string, fresh time.Duration) answer {
	key, ask := c.asking(ctx, path)
	return c.cache.get(ctx, key, fresh, ask)
}

// asking is how a path is asked for, and the key by which its answer is remembered.
func (c *Client) asking(ctx context.Context, path string) (key string, ask func(context.Context) ([]byte, error)) {
	return path + "\x00" + c.token(ctx) + "\x00" + c.role(ctx).String(), func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		body, err := c.fetch(ctx, path)
		if path == readyPath {
			if answer, ok := notReady(err); ok {
				return answer, nil
			}
		}
		return body, err
	}
}

// token is what the service is shown to read.
func (c *Client) token(ctx context.Context) string {
	if c.readToken == "" && !c.inside && !c.open {
		return session.From(ctx).Token
	}
	return c.readToken
}

// role is as whom the service is asked what there is to see: at least a reader, from whom the page
// hides what is not for viewers.
func (c *Client) role(ctx context.Context) admin.Role {
	if !c.masked {
		return admin.Reader
	}
	return max(admin.Reader, session.From(ctx).Role)
}

func (c *Client) fetch(ctx context.Context, path string) ([]byte, error) {
	token := c.token(ctx)
	if c.inside { // the page decides who sees what
		ctx = admin.As(ctx, admin.Holder{Name: "console", Role: c.role(ctx)}, session.From(ctx).Client)
	}
	request := apiclient.Request{Path: path}
	if c.masked && !c.inside {
		request.ShowTo = c.role(ctx).String()
	}
	return c.with(token).Do(ctx, request)
}

// Do changes something as the operator of ctx.
func (c *Client) Do(ctx context.Context, r apiclient.Request) (json.RawMessage, error) {
	if c == nil {
		return nil, NotConfigured{}
	}
	who := session.From(ctx)
	token := who.Token
	if c.inside {
		ctx, token = admin.As(ctx, who.Holder, who.Client), ""
	}
	return c.with(token).Do(ctx, r)
}

// Read is a GET that is neither cached nor held against the page: of a preview for instance, or a
// download. It is made as the operator of ctx.
func (c *Client) Read(ctx context.Context, path string) (json.RawMessage, error) {
	if c == nil {
		return nil, NotConfigured{}
	}
	return c.Do(ctx, apiclient.Request{Path: path})
}

// Forget has everything asked for again.
func (s *Sources) Forget() {
	for _, c := range s.All() {
		c.cache.forget()
	}
}
