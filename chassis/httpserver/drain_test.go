package httpserver_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

const probeEvery = 20 * time.Millisecond

// balancer sends requests to the instances whose last probe was 200, in turn. It does not retry: a
// request that an instance does not answer has failed.
type balancer struct {
	mu        sync.Mutex
	instances []string
	ready     []*url.URL
	next      int
}

func (b *balancer) probe(client *http.Client) {
	b.mu.Lock()
	instances := b.instances
	b.mu.Unlock()
	var ready []*url.URL
	for _, instance := range instances {
		response, err := client.Get(instance + "/readyz")
		if err != nil {
			continue
		}
		response.Body.Close()
		if at, err := url.Parse(instance); err == nil && response.StatusCode == http.StatusOK {
			ready = append(ready, at)
		}
	}
	b.mu.Lock()
	b.ready = ready
	b.mu.Unlock()
}

func (b *balancer) set(instances ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instances = instances
}

// pick returns the next instance that is ready.
func (b *balancer) pick() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.ready[b.next%len(b.ready)]
}

// instance is a server that Run serves until stop, which waits for its end.
func instance(t *testing.T) (url string, stop func()) {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", DrainDelay: 150 * probeEvery}, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	server.Router.Post("/work", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	return "http://" + server.Addr(), func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

// A rolling restart of every instance behind a load balancer that only looks at /readyz, under load
// on connections that are kept: no request fails.
func TestDrain_ARollingRestartBehindALoadBalancerFailsNoRequest(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	b := &balancer{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.pick()) },
	})
	defer proxy.Close()
	one, stopOne := instance(t)
	two, stopTwo := instance(t)
	b.set(one, two)
	b.probe(http.DefaultClient)

	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() {
		for ctx.Err() == nil {
			b.probe(http.DefaultClient)
			select {
			case <-ctx.Done():
			case <-time.After(probeEvery):
			}
		}
	})
	var answered, failed atomic.Int64
	for range 8 {
		loops.Go(func() {
			for ctx.Err() == nil {
				response, err := http.Post(proxy.URL+"/work", "text/plain", strings.NewReader("hello"))
				if err != nil || response.StatusCode != http.StatusOK {
					failed.Add(1)
				} else {
					answered.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			}
		})
	}
	served := func(n int64) func() bool {
		until := answered.Load() + n
		return func() bool { return answered.Load() >= until }
	}
	require.Eventually(t, served(200), 30*time.Second, time.Millisecond)
	stopOne()
	three, stopThree := instance(t)
	b.set(two, three)
	require.Eventually(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.ready) == 2 }, 30*time.Second, time.Millisecond)
	require.Eventually(t, served(200), 30*time.Second, time.Millisecond)
	stopTwo()
	require.Eventually(t, served(200), 30*time.Second, time.Millisecond)
	cancel()
	loops.Wait()
	stopThree()
	http.DefaultClient.CloseIdleConnections()
	require.Zero(t, failed.Load(), "of %d", failed.Load()+answered.Load())
}
