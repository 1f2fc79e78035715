// Package watch lets many clients wait for what becomes of their orders, at the cost of few
// queries.
//
// Nobody polls. A [Hub] knows which orders are watched, and reads those of them again that may have
// changed: all that are due in one query, one query at a time, so that the number of queries
// depends on how long one takes and not on how many clients wait. An order may have changed when
//
//   - this process has committed a change ([Hub.Changed]),
//   - another process has, and says so (Orders.Listen),
//   - the session that hears of those changes was opened, or opened again: nobody was notified of
//     what was committed in the meantime,
//   - it was not read for a while ([lookEvery]): for changes that nobody speaks of, such as an
//     operator's SQL.
//
// Who begins to watch has the order read after that, so nothing falls between the two. The session
// is open while there is anybody to watch for, and others notify only while it is.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"waybill.example/orders/order"
)

const (
	// lookEvery is how often every watched order is read, whether or not a change was heard of.
	lookEvery = 5 * time.Second
	// maxRead bounds the orders of one query.
	maxRead = 1000
	// readTimeout bounds one query.
	readTimeout = 2 * time.Second
	// retryAfter is the pause after a query, or a session, that failed.
	retryAfter = 500 * time.Millisecond
)

// Orders is where the orders are.
type Orders interface {
	// GetAll returns those of the orders that exist.
	GetAll(ctx context.Context, ids []int64) ([]order.Order, error)
	// Listen calls changed with the ids of orders that were changed anywhere, until ctx ends or an
	// error; without ids when any order may have been, which it may have before the first call.
	Listen(ctx context.Context, changed func(ids ...int64)) error
}

// Hub knows which orders are watched. It is safe for concurrent use.
type Hub struct {
	orders Orders
	log    *slog.Logger
	wake   chan struct{} // an order is stale
	first  chan struct{} // an order is watched, after none was

	mu      sync.Mutex
	watched map[int64][]*Watcher
	stale   map[int64]struct{} // watched orders that are to be read
	reads   int64              // queries that were begun
	begun   int64              // watches that were begun
}

// New returns a hub. It works while Run does.
func New(orders Orders, log *slog.Logger) *Hub {
	return &Hub{
		orders: orders, log: log, wake: make(chan struct{}, 1), first: make(chan struct{}, 1),
		watched: make(map[int64][]*Watcher), stale: make(map[int64]struct{}),
	}
}

// Run reads and listens until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loops.Go(func() { h.readLoop(ctx) })
	loops.Go(func() { h.listenLoop(ctx) })
	loops.Wait()
	return nil
}

// Changed says that orders have changed, and without ids that any may have.
func (h *Hub) Changed(ids ...int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(ids) == 0 {
		for id := range h.watched {
			h.stale[id] = struct{}{}
		}
	}
	for _, id := range ids {
		if _, watched := h.watched[id]; watched {
			h.stale[id] = struct{}{}
		}
	}
	if len(h.stale) > 0 {
		signal(h.wake)
	}
}

// Reads returns how many queries were made.
func (h *Hub) Reads() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}

// signal wakes a loop, which may be awake.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *Hub) readLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for ctx.Err() == nil {
			ids, read := h.take()
			if len(ids) == 0 {
				break
			}
			if err := h.read(ctx, ids, read); err != nil {
				h.log.WarnContext(ctx, "cannot read the orders that clients wait for", "error", err)
				pause(ctx, retryAfter)
				h.Changed(ids...)
			}
		}
	}
}

// take returns orders to read now, and the number of the read.
func (h *Hub) take() (ids []int64, read int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.stale {
		if len(ids) == maxRead {
			break
		}
		ids = append(ids, id)
		delete(h.stale, id)
	}
	if len(ids) > 0 {
		h.reads++
	}
	return ids, h.reads
}

// read reads orders and hands them to their watchers.
func (h *Hub) read(ctx context.Context, ids []int64, read int64) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	orders, err := h.orders.GetAll(ctx, ids)
	found := make(map[int64]order.Order, len(orders))
	for _, o := range orders {
		found[o.ID] = o
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		o, exists := found[id]
		failed := err
		if err == nil && !exists {
			failed = order.ErrNotFound
		}
		for _, w := range h.watched[id] {
			w.deliver(read, o, failed)
		}
	}
	return err
}

func (h *Hub) listenLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.first:
			h.listenWhileWatched(ctx)
		}
	}
}

// listenWhileWatched keeps a session open until no order has been watched for a while, and has
// every watched order read now and then.
func (h *Hub) listenWhileWatched(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var session sync.WaitGroup
	session.Go(func() { h.keepListening(ctx) })
	defer session.Wait()
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for before := int64(-1); ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		h.mu.Lock()
		idle, begun := len(h.watched) == 0, h.begun
		h.mu.Unlock()
		if idle && begun == before {
			return
		}
		before = begun
		h.Changed()
	}
}

func (h *Hub) keepListening(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.orders.Listen(ctx, h.Changed)
		if ctx.Err() != nil {
			return
		}
		h.log.WarnContext(ctx, "cannot hear of changes that other instances make; looking for them",
			"every", lookEvery.String(), "error", fmt.Errorf("listen: %w", err))
		pause(ctx, retryAfter)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
