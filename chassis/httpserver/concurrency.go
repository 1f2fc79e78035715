package httpserver

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// ConcurrencyConfig bounds the requests that are worked on at once. A service that is asked for
// more than it can do is faster for all if it does some of it and refuses the rest at once.
type ConcurrencyConfig struct {
	// MaxRequests is how many requests are worked on at once; 0: as many as there are connections.
	// Requests that wait for something to happen do not count.
	MaxRequests int `env:"HTTP_MAX_REQUESTS" envDefault:"0"`
	// MaxQueued is how many more may be in the queue; one that finds it full is refused.
	MaxQueued int `env:"HTTP_MAX_QUEUED" envDefault:"256"`
	// QueueTimeout is how long a request is in the queue at most.
	QueueTimeout time.Duration `env:"HTTP_QUEUE_TIMEOUT" envDefault:"500ms"`
}

// Validate implements config.Validator.
func (c ConcurrencyConfig) Validate() []error {
	if c.MaxRequests < 0 || c.MaxQueued < 0 || c.QueueTimeout < 0 {
		return []error{errors.New("HTTP_MAX_REQUESTS, HTTP_MAX_QUEUED and HTTP_QUEUE_TIMEOUT must not be negative")}
	}
	return nil
}

// concurrency has places for requests that are worked on, and a queue.
type concurrency struct {
	places    chan struct{}
	queued    atomic.Int64
	maxQueued int64
	timeout   time.Duration
}

func newConcurrency(c ConcurrencyConfig) *concurrency {
	return &concurrency{places: make(chan struct{}, c.MaxRequests), maxQueued: int64(c.MaxQueued), timeout: c.QueueTimeout}
}

// enter takes a place. It returns false where the queue is full, or moves too slowly.
func (c *concurrency) enter(ctx context.Context) bool {
	select {
	case c.places <- struct{}{}:
		return true
	default:
	}
	defer c.queued.Add(-1)
	if c.queued.Add(1) > c.maxQueued {
		return false
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case c.places <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// leavePlace is the key of the function that gives a request's place back before its end.
type leavePlace struct{}

// bound lets an operation begin once it has a place.
func (c *concurrency) bound(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if !c.enter(ctx.Context()) {
			ctx.SetHeader("Retry-After", RetryAfter)
			// An error of this is one of the connection; there is nobody to tell.
			_ = huma.WriteErr(api, ctx, http.StatusServiceUnavailable, "too many requests are under way; send it again later")
			return
		}
		leave := sync.OnceFunc(func() { <-c.places })
		defer leave()
		next(huma.WithValue(ctx, leavePlace{}, leave))
	}
}
