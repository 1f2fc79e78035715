package drill

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// balancer spreads requests over instances, round robin, or over shards; see [newRouter].
type balancer struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}
	route    func(*http.Request) string // called with mu held

	mu    sync.Mutex
	addrs []string
	next  int
	busy  map[string]int // requests under way, by address
	idle  *sync.Cond
	keys  map[string]int // the shard of each Idempotency-Key
}

func newBalancer(addrs []string) (*balancer, error) {
	return (&balancer{addrs: addrs}).start((*balancer).roundRobin)
}

func (b *balancer) start(route func(*balancer, *http.Request) string) (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.listener, b.served, b.busy, b.keys = listener, make(chan struct{}), map[string]int{}, map[string]int{}
	b.route = func(r *http.Request) string { return route(b, r) }
	b.idle = sync.NewCond(&b.mu)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Context().Value(target{}).(string)
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 256},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	b.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := b.take(r)
		defer b.give(addr)
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), target{}, addr)))
	})}
	go func() {
		defer close(b.served)
		_ = b.server.Serve(listener) // returns when it is closed
	}()
	return b, nil
}

// target is the key of the address that a request goes to.
type target struct{}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) take(r *http.Request) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	addr := b.route(r)
	b.busy[addr]++
	return addr
}

func (b *balancer) roundRobin(*http.Request) string {
	b.next++
	return b.addrs[b.next%len(b.addrs)]
}

func (b *balancer) give(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[addr]--
	b.idle.Broadcast()
}

// remove sends an instance no more requests, and returns when it has answered those that it has.
func (b *balancer) remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = slices.DeleteFunc(slices.Clone(b.addrs), func(a string) bool { return a == addr })
	for b.busy[addr] > 0 {
		b.idle.Wait()
	}
}

func (b *balancer) add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = append(slices.Clone(b.addrs), addr)
}

// Close ends the balancer.
func (b *balancer) Close() error {
	err := b.server.Close()
	<-b.served
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
