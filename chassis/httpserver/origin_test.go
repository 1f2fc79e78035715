package httpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

// run runs a server with a configuration until the test ends, and returns where it listens.
func run(t *testing.T, c httpserver.Config, checks []httpserver.Check) string {
	t.Helper()
	s, err := httpserver.New(c, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Checks: checks,
	})
	require.NoError(t, err)
	s.Router.Post("/change", func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		http.DefaultClient.CloseIdleConnections()
	})
	return s.Addr()
}

func send(t *testing.T, method, url, host string, headers map[string]string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	r.Host = host
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
	}
	return resp.StatusCode
}

// A page of another origin, open in the browser of a developer who runs this, sends what browsers
// send.
func TestServer_AnotherOriginChangesNothing(t *testing.T) {
	t.Parallel()
	addr := run(t, httpserver.Config{Addr: "127.0.0.1:0"}, nil)
	for _, tt := range []struct {
		method  string
		headers map[string]string
		want    int
	}{
		{http.MethodPost, map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403},
		{http.MethodPost, map[string]string{"Origin": "http://localhost:9999", "Sec-Fetch-Site": "same-site"}, 403},
		{http.MethodPost, map[string]string{"Origin": "https://evil.example"}, 403}, // a browser before Sec-Fetch-Site
		{http.MethodPost, map[string]string{"Origin": "null"}, 403},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{http.MethodPost, map[string]string{"Origin": "http://" + addr}, 200},
		{http.MethodPost, nil, 200}, // curl
		{http.MethodGet, map[string]string{"Sec-Fetch-Site": "cross-site"}, 405},
	} {
		require.Equal(t, tt.want, send(t, tt.method, "http://"+addr+"/change", "", tt.headers), "%v", tt)
	}
}

// A page of evil.example whose name resolves to 127.0.0.1 is of our own origin to a browser; the
// Host header says so.
func TestServer_OnLoopbackOnlyItsOwnNamesAreServed(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", PprofAddr: "127.0.0.1:0", Hosts: []string{"waybill.test"}}, httpserver.Options{
		Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	var line struct{ Addr string }
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	_, port, err := net.SplitHostPort(s.Addr())
	require.NoError(t, err)
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:" + port: 200, "localhost.": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:8080": 200,
		"waybill.test": 200, "Waybill.Test:8080": 200,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "[::]": 421, "0.0.0.0": 421,
	} {
		for _, url := range []string{s.Addr() + "/livez", s.Addr() + "/metrics", line.Addr + "/debug/pprof/heap"} {
			require.Equal(t, want, status(t, "http://"+url, host), "%s for %q", url, host)
		}
	}
	cancel()
	require.NoError(t, <-done)
	http.DefaultClient.CloseIdleConnections()
}

func status(t *testing.T, url, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// Anybody may ask /readyz, also many times while what it asks for does not answer.
func TestReadyz_ManyRequestsAreOneRound(t *testing.T) {
	t.Parallel()
	var rounds atomic.Int64
	addr := run(t, httpserver.Config{Addr: "127.0.0.1:0"}, []httpserver.Check{{Name: "slow", Run: func(ctx context.Context) error {
		rounds.Add(1)
		<-ctx.Done()
		return errors.New("does not answer")
	}}})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			resp, err := http.Get("http://" + addr + "/readyz")
			if err == nil {
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	require.Less(t, rounds.Load(), int64(10))
}

func TestServer_BoundsItsConnections(t *testing.T) {
	t.Parallel()
	addr := run(t, httpserver.Config{Addr: "127.0.0.1:0", MaxConnections: 2}, nil)
	ask := func(c net.Conn) string {
		require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		_, err := fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		answer := make([]byte, 12)
		_, err = io.ReadFull(c, answer)
		require.NoError(t, err)
		return string(answer)
	}
	var conns []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	require.Equal(t, "HTTP/1.1 200", ask(conns[0]))
	require.Equal(t, "HTTP/1.1 200", ask(conns[1]))
	third := make(chan string)
	go func() { third <- ask(conns[2]) }()
	select {
	case <-third:
		require.Fail(t, "three are served")
	case <-time.After(100 * time.Millisecond):
	}
	conns[0].Close()
	require.Equal(t, "HTTP/1.1 200", <-third)
}

func TestServer_RefusesEndlessHeaders(t *testing.T) {
	t.Parallel()
	addr := run(t, httpserver.Config{Addr: "127.0.0.1:0"}, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/livez", nil)
	require.NoError(t, err)
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	require.Equal(t, 404, status(t, "http://"+addr+"/"+strings.Repeat("y", 5000), ""))
}
