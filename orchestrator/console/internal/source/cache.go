package source

import (
	"context"
	"errors"
	"sync"
	"time"

	"waybill.example/chassis/apiclient"
)

// maxEntries bounds what is remembered, and maxKept what of it is kept for when the service is
// unavailable, in bytes.
const (
	maxEntries = 256
	maxKept    = 1 << 20
)

// answer is what a service answered, and when. body may be older than at where err is not nil.
type answer struct {
	body  []byte
	at    time.Time // when body was current
	stale error     // why it could not be asked since; nil: body is current
	err   error     // there is no body
}

// cache remembers answers. Who asks for the same at the same time shares one request. The zero
// value is ready; it is safe for concurrent use.
type cache struct {
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	done   chan struct{} // closed when answer is set
	asked  time.Time
	before *entry // until then
	answer
}

// Impatience is the error of an answer that has not come yet, and of which nothing is known.
type Impatience struct{}

func (Impatience) Error() string { return "it has not answered yet" }

// soon is get for an answer that is dear, and good enough when it is some seconds old: where it
// takes longer than patience, the last one is returned, and the next to ask gets the new one.
func (c *cache) soon(ctx context.Context, key string, fresh, patience time.Duration, ask func(context.Context) ([]byte, error)) answer {
	hurried, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := c.get(hurried, key, fresh, ask)
	if !errors.Is(a.err, context.DeadlineExceeded) || hurried.Err() == nil || ctx.Err() != nil {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e != nil && !e.over() {
		e = e.before
	}
	if e == nil {
		return answer{at: time.Now(), err: Impatience{}}
	}
	return e.answer
}

// get returns the answer for a key, asking for it where none is fresh. The request goes on where
// the first who asked gives up: others wait for it.
func (c *cache) get(ctx context.Context, key string, fresh time.Duration, ask func(context.Context) ([]byte, error)) answer {
	c.mu.Lock()
	last := c.entries[key]
	if last != nil && (!last.over() || time.Since(last.asked) < fresh) {
		c.mu.Unlock()
		return last.wait(ctx)
	}
	e := &entry{done: make(chan struct{}), asked: time.Now(), before: last}
	if last != nil {
		last.before = nil // one is enough
	}
	c.put(key, e)
	c.mu.Unlock()
	go func() {
		defer close(e.done)
		body, err := ask(context.WithoutCancel(ctx))
		e.answer = settle(body, err, last, e.asked)
	}()
	return e.wait(ctx)
}

// settle decides between a new answer and the last one.
func settle(body []byte, err error, last *entry, now time.Time) answer {
	if err == nil {
		return answer{body: body, at: now}
	}
	if unavailable(err) && last != nil && last.body != nil && now.Sub(last.at) < lastKnown && len(last.body) <= maxKept {
		return answer{body: last.body, at: last.at, stale: err}
	}
	return answer{at: now, err: err}
}

// unavailable reports whether an error says nothing about what was asked for.
func unavailable(err error) bool {
	if refusal, ok := errors.AsType[*apiclient.Refusal](err); ok {
		return refusal.Status >= 500 || refusal.Status == 429
	}
	return true
}

func (e *entry) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func (e *entry) wait(ctx context.Context) answer {
	select {
	case <-e.done:
		return e.answer
	case <-ctx.Done():
		return answer{err: ctx.Err(), at: time.Now()}
	}
}

// put makes room by dropping the oldest. The caller has the lock.
func (c *cache) put(key string, e *entry) {
	if c.entries == nil {
		c.entries = map[string]*entry{}
	}
	if _, there := c.entries[key]; !there && len(c.entries) >= maxEntries {
		oldest := ""
		for k, v := range c.entries {
			if oldest == "" || v.asked.Before(c.entries[oldest].asked) {
				oldest = k
			}
		}
		delete(c.entries, oldest)
	}
	c.entries[key] = e
}

// forget has everything asked for again. What is kept for when the service is unavailable stays.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if !e.over() { // it may have been answered before the change
			e = e.before
		}
		if e == nil {
			delete(c.entries, key)
			continue
		}
		aged := *e
		aged.asked = time.Time{}
		c.entries[key] = &aged
	}
}
