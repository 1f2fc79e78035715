package watch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"waybill.example/inventory/stock"
)

// Watcher is one who watches. It is for one goroutine.
type Watcher struct {
	hub    *Hub
	skus   map[string]bool // never changed
	signal chan struct{}   // holds one: there is something to take

	mu     sync.Mutex
	levels map[string]stock.Level // the latest that Next has not returned yet, by sku
	err    error
}

// Next waits until a level has changed, and returns the latest of all that have, by sku. It returns
// ctx's error if that ends first, and the error of the hub's read where that failed: then the
// watcher is of no more use.
func (w *Watcher) Next(ctx context.Context) ([]stock.Level, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.signal:
		}
		if levels, err := w.take(); err != nil || len(levels) > 0 {
			return levels, err
		}
	}
}

// Close ends the watch.
func (w *Watcher) Close() { w.hub.leave(w) }

func (w *Watcher) take() ([]stock.Level, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	levels := slices.SortedFunc(maps.Values(w.levels), func(a, b stock.Level) int { return cmp.Compare(a.SKU, b.SKU) })
	clear(w.levels)
	return levels, w.err
}

// offer keeps those levels that are watched, in place of older ones.
func (w *Watcher) offer(levels []stock.Level) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range levels {
		if w.skus[l.SKU] {
			w.levels[l.SKU] = l
		}
	}
	if len(w.levels) > 0 {
		w.notify()
	}
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	w.notify()
}

func (w *Watcher) notify() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}
