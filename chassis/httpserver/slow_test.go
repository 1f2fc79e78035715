package httpserver

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

// pipes is a listener whose connections need no network, so that a bubble's clock moves them.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.closed); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// A client that sends one byte per second is cut off, and holds neither a connection nor a handler.
func TestServer_CutsOffSlowHeadersAndBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sent  string
		after time.Duration
	}{
		"headers":      {"POST /read HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", headerTimeout},
		"a body":       {"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", bodyTimeout},
		"nothing":      {"", headerTimeout},
		"a next start": {"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { trickle(t, c.sent, c.after) })
		})
	}
}

// trickle sends a beginning and then a byte per second, and requires the server to hang up in time.
func trickle(t *testing.T, beginning string, after time.Duration) {
	t.Helper()
	router := chi.NewRouter()
	router.Get("/livez", func(http.ResponseWriter, *http.Request) {})
	router.Post("/read", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	server := &Server{Router: router, log: slog.New(slog.DiscardHandler), listener: listener, Waiting: NewWaiting(0), drain: &drain{}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()

	client, accepted := net.Pipe()
	listener.accepted <- accepted
	began := time.Now()
	hungUp := make(chan struct{})
	go func() {
		defer close(hungUp)
		_, _ = io.Copy(io.Discard, bufio.NewReader(client))
	}()
	_, err := io.WriteString(client, beginning)
	require.NoError(t, err)
	slow := beginning != "" && after != idleTimeout
	for slow {
		<-time.After(time.Second)
		if _, err := io.WriteString(client, "x"); err != nil {
			break
		}
	}
	<-hungUp
	require.InDelta(t, after.Seconds(), time.Since(began).Seconds(), 1.5)
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, client.Close())
}
