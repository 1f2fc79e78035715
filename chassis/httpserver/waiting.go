package httpserver

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// MaxWait is the longest wait that a client is granted, whatever it prefers: shorter than the
// minute after which proxies give up a request that is silent.
const MaxWait = 30 * time.Second

// Waiting bounds the requests of a server that wait for something to happen, streams among them,
// and ends their waits when the server stops. They have a bound of their own, below that of the
// connections, so that those who wait leave room for those who do not. It is safe for concurrent
// use.
type Waiting struct {
	places int64
	taken  atomic.Int64
	open   context.Context // ends when the server begins to stop
	stop   context.CancelFunc
}

// NewWaiting returns places for so many requests that wait at once.
func NewWaiting(places int) *Waiting {
	w := &Waiting{places: int64(places)}
	w.open, w.stop = context.WithCancel(context.Background())
	return w
}

// Enter takes a place, which leave gives back. ok is false where all are taken, or the server
// stops.
func (w *Waiting) Enter() (leave func(), ok bool) {
	if w.open.Err() != nil {
		return nil, false
	}
	if w.taken.Add(1) > w.places {
		w.taken.Add(-1)
		return nil, false
	}
	return func() { w.taken.Add(-1) }, true
}

// Taken returns how many requests wait.
func (w *Waiting) Taken() int { return int(w.taken.Load()) }

// Stop ends all waits, and lets nobody begin another.
func (w *Waiting) Stop() { w.stop() }

// Until returns a context that ends with ctx, and when the server begins to stop. Cancel it.
func (w *Waiting) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(w.open, cancel)
	return ctx, func() { forget(); cancel() }
}

// Exchange gives an operation the request and its writer, for what huma has no word for: the time
// that a client which waits has. Embed it in the operation's input.
type Exchange struct {
	request *http.Request
	writer  http.ResponseWriter
	leave   func() // its place among those that are worked on; nil: they are not bounded
}

// Resolve implements [huma.Resolver].
func (e *Exchange) Resolve(ctx huma.Context) []error {
	e.request, e.writer = humachi.Unwrap(ctx)
	e.leave, _ = ctx.Context().Value(leavePlace{}).(func())
	return nil
}

// Context returns the request's context. Unlike the one that [Handle] passes, it has no deadline;
// it ends when the client has gone.
func (e *Exchange) Context() context.Context { return e.request.Context() }

// Extend gives a request more time than the server's limit on answers does: wait, and what a client
// has to take an answer. From now on the request does not count among those that are worked on.
func (e *Exchange) Extend(wait time.Duration) {
	if e.leave != nil {
		e.leave()
	}
	// A writer without a deadline, as in tests, has no limit to extend.
	_ = http.NewResponseController(e.writer).SetWriteDeadline(time.Now().Add(wait + answerTimeout))
}

// Preferences lets a client say how long it would like to wait for the outcome (RFC 7240): embed it
// in the input of an operation that can wait.
type Preferences struct {
	Exchange

	Prefer string `header:"Prefer" doc:"RFC 7240. wait=N: answer once the outcome is known, or after N seconds with what is known then. At most 30 seconds are granted, which Preference-Applied says; while too many clients wait already, none, and Preference-Applied is absent. Other preferences, and values that cannot be understood, are ignored." example:"wait=5"`

	wait  time.Duration
	waits bool
}

// Resolve implements [huma.Resolver].
func (p *Preferences) Resolve(ctx huma.Context) []error {
	errs := p.Exchange.Resolve(ctx)
	// All fields: huma's Prefer has the first only.
	p.wait, p.waits = preferredWait(p.request.Header["Prefer"])
	p.wait = min(p.wait, MaxWait)
	return errs
}

// Waits reports whether the client wants to wait.
func (p *Preferences) Waits() bool { return p.waits }

// Begin begins the wait: the context ends when it is over, when the client has gone, and when the
// server stops. applied is the answer's Preference-Applied.
func (p *Preferences) Begin(waiting *Waiting) (ctx context.Context, cancel context.CancelFunc, applied string) {
	p.Extend(p.wait)
	open, closed := waiting.Until(p.Context())
	ctx, over := context.WithTimeout(open, p.wait)
	return ctx, func() { over(); closed() }, "wait=" + strconv.Itoa(int(p.wait/time.Second))
}
