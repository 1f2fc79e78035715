package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const statusAccepted = fasthttp.StatusAccepted

// errNoOrder is an answer that does not say which order it is about.
var errNoOrder = errors.New("a 202 without an order id")

// client sends requests to several Orders services. It is safe for concurrent use.
type client struct {
	hosts   []*fasthttp.HostClient
	urls    []string
	timeout time.Duration
}

func newClient(cfg Config) (*client, error) {
	c := &client{timeout: cfg.Timeout}
	for _, base := range cfg.URLs {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("the URL of an Orders service must be http://host:port, not %q", base)
		}
		c.urls = append(c.urls, strings.TrimSuffix(base, "/")+cfg.Path)
		c.hosts = append(c.hosts, &fasthttp.HostClient{
			Addr: u.Host, MaxConns: cfg.InFlight + followers + maxRetrying,
			NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
			Dial: func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, cfg.Timeout) },
			// A request with a key may go out again on another connection where the server has
			// closed the idle one that it was written to.
			RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, !cfg.NoKeys },
			MaxIdemponentCallAttempts: 10,
		})
	}
	return c, nil
}

// close closes the idle connections.
func (c *client) close() {
	for _, host := range c.hosts {
		host.CloseIdleConnections()
	}
}

// post sends an order to one of the services. An empty key is not sent.
func (c *client) post(service int, order any, key string) (status int, id int64, err error) {
	body, err := json.Marshal(order)
	if err != nil {
		return 0, 0, err
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	service %= len(c.hosts)
	request.SetRequestURI(c.urls[service])
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	request.SetBodyRaw(body)
	if err := c.hosts[service].DoTimeout(request, response, c.timeout); err != nil {
		return 0, 0, err // the status alone does not tell which order it was
	}
	if status = response.StatusCode(); status != statusAccepted {
		return status, 0, nil
	}
	if id = acceptedID(response.Body()); id <= 0 {
		return 0, 0, errNoOrder
	}
	return status, id, nil
}

// acceptedID reads {"id":17}; 0 stands for anything else. As Orders writes it that takes a tenth of
// what encoding/json does, which is a sixth of all that the generator does for a request.
func acceptedID(body []byte) int64 {
	if text, ok := bytes.CutPrefix(bytes.TrimSpace(body), []byte(`{"id":`)); ok {
		if text, ok = bytes.CutSuffix(text, []byte("}")); ok {
			if id, err := strconv.ParseInt(string(text), 10, 64); err == nil {
				return id
			}
		}
	}
	var accepted struct{ ID int64 }
	if json.Unmarshal(body, &accepted) != nil {
		return 0
	}
	return accepted.ID
}

var statusConfirmed = []byte(`"status":"CONFIRMED"`)

// confirmed reports whether an order is shown as CONFIRMED.
func (c *client) confirmed(service int, id int64) bool {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	service %= len(c.hosts)
	request.SetRequestURI(fmt.Sprintf("%s/%d", c.urls[service], id))
	if c.hosts[service].DoTimeout(request, response, c.timeout) != nil || response.StatusCode() != fasthttp.StatusOK {
		return false
	}
	return bytes.Contains(response.Body(), statusConfirmed)
}

// reason puts an error into one of a few words, so that they can be counted.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, fasthttp.ErrConnectionClosed):
		return "connection lost"
	}
	return err.Error()
}
