// Package apiclient is how commands ask the HTTP APIs of the services: one set of flags, one rule
// about where a token may travel, and errors that an operator can act on.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// HeaderShowTo lowers the role as which a request is answered; the package admin reads it.
const HeaderShowTo = "Waybill-Show-To"

// requestTimeout is longer than any API watches what comes of an intervention.
const requestTimeout = 20 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Flags say where a service is. Embed it with the prefix of the variables and
// with the service's name and default address:
//
//	apiclient.Flags `embed:"" envprefix:"ORDERS_" set:"service=Orders" set:"url=http://127.0.0.1:8080"`
type Flags struct {
	URL   string `help:"Where ${service} answers HTTP." env:"URL" default:"${url}"`
	Token string `help:"The token for what ${service} does or shows only to operators." env:"TOKEN"`
	// Insecure is for a network that is safe by other means, a tunnel for instance.
	Insecure bool `help:"Send the token over http:// to another machine than this."`
}

// Client returns a client of the service that the flags name. name is what errors call it, and
// prefix that of its variables, such as ORDERS.
func (f Flags) Client(name, prefix string) Client {
	return Client{flags: f, name: name, prefix: prefix, tokenAdvice: "set --token or " + prefix + "_TOKEN"}
}

// Peer returns a client for a service that asks another one, with a token of its own. Its settings
// say where the token goes, so it may go over http:// to another machine; errors name
// PREFIX_READ_TOKEN as the setting of the token.
func Peer(url, token, name, prefix string) Client {
	advice := "set " + prefix + "_READ_TOKEN for the service that asks"
	return Client{flags: Flags{URL: url, Token: token, Insecure: true}, name: name, prefix: prefix, tokenAdvice: advice}
}

// Client calls one service. It is safe for concurrent use.
type Client struct {
	flags        Flags
	name, prefix string
	tokenAdvice  string            // how to give it a token
	via          http.RoundTripper // nil: the network
}

// Via returns a client that asks through another transport than the network, for instance the
// handler of a service that runs in this process.
func (c Client) Via(transport http.RoundTripper) Client {
	c.via = transport
	return c
}

// Request is what is asked.
type Request struct {
	Method  string // GET if it is empty
	Path    string // with its query
	Body    any    // sent as JSON, unless it is nil
	IfMatch string // an entity tag in quotes; sent unless it is empty
	// Key, if not empty, is sent as Idempotency-Key: the service carries the request out once,
	// however often it is sent.
	Key string
	// ShowTo is the role to whom the answer is to be shown, if that may see less than the holder of
	// the token; see [HeaderShowTo].
	ShowTo string
	// Header, if not nil, is where the answer's header is put.
	Header *http.Header
}

// Refusal is an answer with a status other than 2xx: the service was there, and did not do it.
type Refusal struct {
	Status int
	Type   string // of the problem (RFC 9457); may be empty
	Detail string // one line for people
	Body   []byte // as it came
}

func (r *Refusal) Error() string { return r.Detail }

// Unreachable is the error of a service that gave no answer.
type Unreachable struct {
	Name, URL, Setting string
	Waited             time.Duration // for an answer
	Err                error
}

func (u *Unreachable) Error() string {
	if u.late() {
		return fmt.Sprintf("the %s does not answer: %s", u.Name, u.Why())
	}
	return fmt.Sprintf("no %s answers at %s; start it, or set %s", u.Name, u.URL, u.Setting)
}

// Why says what is wrong, in words for people: a service that was stopped and one that is frozen
// are two things, and something else has to be done about each.
func (u *Unreachable) Why() string {
	switch {
	case errors.Is(u.Err, syscall.ECONNREFUSED):
		return "nothing listens at " + u.URL
	case u.late():
		return fmt.Sprintf("no answer from %s within %s: it is frozen, overloaded or cut off", u.URL, u.Waited.Round(100*time.Millisecond))
	}
	return "no connection to " + u.URL
}

// late reports whether the time for an answer was over. A connection has the deadline of its
// context for its own, and may be the first to notice.
func (u *Unreachable) late() bool {
	return errors.Is(u.Err, context.DeadlineExceeded) || errors.Is(u.Err, os.ErrDeadlineExceeded)
}

// Unwrap returns what the network said.
func (u *Unreachable) Unwrap() error { return u.Err }

// Name is what errors call the service.
func (c Client) Name() string { return c.name }

// URL is where the service is asked, without a slash at its end.
func (c Client) URL() string { return strings.TrimSuffix(c.flags.URL, "/") }

// Get asks for path and decodes the answer into into.
func (c Client) Get(ctx context.Context, path string, into any) error {
	answer, err := c.Do(ctx, Request{Path: path})
	if err != nil {
		return err
	}
	return c.Decode(answer, into)
}

// Decode decodes an answer of the service.
func (c Client) Decode(answer []byte, into any) error {
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s does not answer like an %s: %w", c.flags.URL, c.name, err)
	}
	return nil
}

// Do sends one request and returns the body of the answer. The error is a [*Refusal] for an answer
// with a status other than 2xx, and an [*Unreachable] where there was none.
func (c Client) Do(ctx context.Context, r Request) ([]byte, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	response, err := c.sender().Do(request)
	if err != nil {
		return nil, &Unreachable{c.name, c.URL(), c.prefix + "_URL", time.Since(began), err}
	}
	defer response.Body.Close()
	if r.Header != nil {
		*r.Header = response.Header
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, &Unreachable{c.name, c.URL(), c.prefix + "_URL", time.Since(began), err}
	}
	if response.StatusCode/100 != 2 {
		return nil, c.refusal(response.StatusCode, answer)
	}
	return answer, nil
}

func (c Client) request(ctx context.Context, r Request) (*http.Request, error) {
	var content io.Reader
	if r.Body != nil {
		encoded, err := json.Marshal(r.Body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, c.URL()+r.Path, content)
	if err != nil || request.URL.Host == "" {
		return nil, fmt.Errorf("%q is no URL of an %s: set %s_URL", c.flags.URL, c.name, c.prefix)
	}
	request.Header.Set("User-Agent", "waybill") // logs of changes have it
	if r.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.ShowTo != "" {
		request.Header.Set(HeaderShowTo, r.ShowTo)
	}
	if r.IfMatch != "" {
		request.Header.Set("If-Match", r.IfMatch)
	}
	if r.Key != "" {
		request.Header.Set("Idempotency-Key", r.Key)
	}
	if c.flags.Token != "" {
		if !c.flags.Insecure && exposed(request.URL) {
			return nil, fmt.Errorf("the token would go to %s in the clear: use https://, or --insecure where the way there is safe", request.URL.Host)
		}
		request.Header.Set("Authorization", "Bearer "+c.flags.Token)
	}
	return request, nil
}

// sender follows no redirect: the token is for the host that the operator named.
func (c Client) sender() *http.Client {
	return &http.Client{Transport: c.via, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// exposed reports whether others can read what is sent to a URL: it leaves this machine without
// TLS.
func exposed(u *url.URL) bool {
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.Unmap().IsLoopback()
}

// refusal turns a problem (RFC 9457) into one line.
func (c Client) refusal(status int, answer []byte) error {
	var problem struct {
		Type, Detail string
		Errors       []struct{ Message, Location string }
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return &Refusal{Status: status, Body: answer, Detail: fmt.Sprintf("the %s answered %d %s", c.name, status, http.StatusText(status))}
	}
	parts := []string{problem.Detail}
	for _, e := range problem.Errors {
		parts = append(parts, e.Location+": "+e.Message)
	}
	if status == http.StatusUnauthorized {
		parts = append(parts, c.tokenAdvice)
	}
	return &Refusal{Status: status, Body: answer, Type: problem.Type, Detail: strings.Join(parts, "; ")}
}

// NotFound reports whether the service answered that it does not have what was asked for.
func NotFound(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Status == http.StatusNotFound
}

// Unknown reports whether a request may have been carried out although it failed: there was no
// answer, or the service does not know.
func Unknown(err error) bool {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Status >= http.StatusInternalServerError
	}
	_, silent := errors.AsType[*Unreachable](err)
	return silent
}
