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

// balancer spreads requests over instances, round robin.
type balancer struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{}

	mu    sync.Mutex
	addrs []string
	next  int
	busy  map[string]int // requests under way, by address
	idle  *sync.Cond
}

func newBalancer(addrs []string) (*balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener, served: make(chan struct{}), addrs: addrs, busy: map[string]int{}}
	b.idle = sync.NewCond(&b.mu)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Context().Value(target{}).(string)
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	b.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := b.take()
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

func (b *balancer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	addr := b.addrs[b.next%len(b.addrs)]
	b.busy[addr]++
	return addr
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
