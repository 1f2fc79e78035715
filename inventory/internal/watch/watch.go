// Package watch passes stock levels on to those who watch them. However many watch, the database is
// read by one goroutine per process: when this process has committed something, and several times a
// second for what other processes commit, and not at all while nobody watches. Nothing is added to
// a transaction that changes stock: a NOTIFY in each would make their commits wait for one another.
//
// A watcher that is slow gets the latest level of each sku and not every step, so what is kept for
// it is bounded by the skus that it watches.
package watch

import (
	"context"
	"sync"
	"time"

	"waybill.example/inventory/stock"
)

const (
	// interval is how late a change of another process may be seen.
	interval = 250 * time.Millisecond
	// pause follows each read, so that a thousand commits per second are not a thousand reads.
	pause = 20 * time.Millisecond
)

// Read returns the levels of those skus that exist.
type Read func(ctx context.Context, skus []string) ([]stock.Level, error)

// Hub reads levels for its watchers. Its methods may be called from any goroutine.
type Hub struct {
	read Read
	wake chan struct{} // holds one wake-up

	mu       sync.Mutex
	watchers map[*Watcher]struct{}
	joining  map[*Watcher]struct{} // those of the watchers that no read was made for yet
	last     map[string]string     // the tags of the last read, by sku
}

// NewHub returns a hub without watchers.
func NewHub(read Read) *Hub {
	return &Hub{read: read, wake: make(chan struct{}, 1), watchers: map[*Watcher]struct{}{}, joining: map[*Watcher]struct{}{}}
}

// Wake has the levels read again soon: something was committed. It costs next to nothing.
func (h *Hub) Wake() {
	select {
	case h.wake <- struct{}{}:
	default: // one is on its way
	}
}

// Watch returns a watcher of skus, which gets their levels as they are and from then on whenever
// they have changed. Close it.
func (h *Hub) Watch(skus []string) *Watcher {
	w := &Watcher{hub: h, skus: make(map[string]bool, len(skus)), levels: map[string]stock.Level{}, signal: make(chan struct{}, 1)}
	for _, sku := range skus {
		w.skus[sku] = true
	}
	h.mu.Lock()
	h.watchers[w], h.joining[w] = struct{}{}, struct{}{}
	h.mu.Unlock()
	h.Wake()
	return w
}

// Run reads until ctx ends. A read that fails is passed to every watcher: a watcher that knows
// nothing is better than one that believes in what it saw last.
func (h *Hub) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-ticker.C:
		}
		skus, joined := h.watched()
		if len(skus) == 0 {
			continue
		}
		levels, err := h.read(ctx, skus)
		if err != nil {
			h.fail(err)
		} else {
			h.publish(levels, joined)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// watched returns every sku that is watched, and the watchers that the next read is the first of.
func (h *Hub) watched() (skus []string, joined map[*Watcher]struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]bool{}
	for w := range h.watchers {
		for sku := range w.skus {
			if !all[sku] {
				all[sku] = true
				skus = append(skus, sku)
			}
		}
	}
	joined, h.joining = h.joining, map[*Watcher]struct{}{}
	return skus, joined
}

// publish offers what has changed since the last read, and everything to those that have joined.
func (h *Hub) publish(levels []stock.Level, joined map[*Watcher]struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tags, changed := make(map[string]string, len(levels)), []stock.Level{}
	for _, l := range levels {
		tags[l.SKU] = l.Tag()
		if h.last[l.SKU] != tags[l.SKU] {
			changed = append(changed, l)
		}
	}
	h.last = tags
	for w := range h.watchers {
		if _, first := joined[w]; first {
			w.offer(levels)
		} else {
			w.offer(changed)
		}
	}
}

func (h *Hub) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = nil
	for w := range h.watchers {
		w.fail(err)
	}
}

func (h *Hub) leave(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	delete(h.joining, w)
}
