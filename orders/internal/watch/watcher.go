package watch

import (
	"context"
	"slices"

	"waybill.example/orders/order"
)

// Watcher follows one order for one caller at a time. Close it.
type Watcher struct {
	hub  *Hub
	id   int64
	news chan struct{} // something was delivered

	// Guarded by hub.mu: what the last read found.
	read  int64
	found order.Order
	err   error

	returned order.Order // to the caller, last
}

// Watch begins to follow an order, which need not exist.
func (h *Hub) Watch(id int64) *Watcher {
	w := &Watcher{hub: h, id: id, news: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watched) == 0 {
		signal(h.first)
	}
	h.watched[id] = append(h.watched[id], w)
	h.begun++
	return w
}

// Close ends the watch.
func (w *Watcher) Close() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	rest := slices.DeleteFunc(h.watched[w.id], func(o *Watcher) bool { return o == w })
	if len(rest) > 0 {
		h.watched[w.id] = rest
		return
	}
	delete(h.watched, w.id)
	delete(h.stale, w.id)
}

// deliver is called with hub.mu.
func (w *Watcher) deliver(read int64, found order.Order, err error) {
	w.read, w.found, w.err = read, found, err
	signal(w.news)
}

// Read returns the order as it is now: by a query that begins after the call, and which it shares
// with others. It returns [order.ErrNotFound] where there is no such order.
func (w *Watcher) Read(ctx context.Context) (order.Order, error) {
	h := w.hub
	h.mu.Lock()
	after := h.reads
	h.stale[w.id] = struct{}{}
	signal(h.wake)
	h.mu.Unlock()
	return w.await(ctx, func() bool { return w.read > after })
}

// Next returns the order once its progress, or whether it is terminal, is not as it was returned
// last.
func (w *Watcher) Next(ctx context.Context) (order.Order, error) {
	return w.await(ctx, func() bool {
		last := w.returned
		return w.err == order.ErrNotFound || w.err == nil && w.read > 0 && //nolint:errorlint // as deliver is passed it
			(w.found.Progress() != last.Progress() || w.found.Terminal() != last.Terminal())
	})
}

// await returns what the last read found once that is news. news is called with hub.mu.
func (w *Watcher) await(ctx context.Context, news func() bool) (order.Order, error) {
	for {
		w.hub.mu.Lock()
		found, err, is := w.found, w.err, news()
		w.hub.mu.Unlock()
		if is {
			if err == nil {
				w.returned = found
			}
			return found, err
		}
		select {
		case <-ctx.Done():
			return order.Order{}, ctx.Err()
		case <-w.news:
		}
	}
}
