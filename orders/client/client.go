// Package client is the Orders API for Go programs.
//
// Every call takes a context, and may be made by many goroutines at once. Calls that fail with a
// transient error (no connection, 429, 502, 503, 504) are retried with backoff and jitter, not
// before the server's Retry-After, until the time of [WithRetryFor] or the context is over. That is
// safe for what changes something, too: the client sends an Idempotency-Key with it, the same with
// each retry, so there is one order and one answer.
//
// An answer that is an error is a [*Problem], for [errors.As]. [Client.Wait] and [Client.Watch]
// learn what becomes of an order without polling.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Client calls one Orders service, or the load balancer before several. It is safe for concurrent
// use.
type Client struct {
	base     string
	http     *http.Client
	header   http.Header
	newKey   func() string
	timeout  time.Duration
	retryFor time.Duration
}

// Option changes how a client works.
type Option func(*Client)

// WithHTTPClient has requests made by h, for TLS and proxies of one's own. Its Timeout, if it has
// one, must be longer than the waits that are asked for.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithHeader sends a header with every request, such as User-Agent or a gateway's Authorization.
func WithHeader(name, value string) Option { return func(c *Client) { c.header.Set(name, value) } }

// WithTimeout is how long the server has for one answer, besides the wait that it is asked for; 10
// seconds without it.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithRetryFor is how long a call that fails with a transient error is retried; a minute without
// it, and never for 0.
func WithRetryFor(d time.Duration) Option { return func(c *Client) { c.retryFor = d } }

// WithKeys has Idempotency-Keys made by newKey, which must not return one twice; random UUIDs
// without it.
func WithKeys(newKey func() string) Option { return func(c *Client) { c.newKey = newKey } }

// New returns a client of the service at a URL such as http://localhost:8080. It does not connect.
func New(baseURL string, options ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the URL of an Orders service looks like http://host:port, not %q", baseURL)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // all go to one host
	c := &Client{
		base: strings.TrimSuffix(baseURL, "/"), http: &http.Client{Transport: transport}, header: http.Header{},
		newKey: uuid.NewString, timeout: 10 * time.Second, retryFor: time.Minute,
	}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// Close closes connections that are idle. A client that is used again opens new ones.
func (c *Client) Close() { c.http.CloseIdleConnections() }
