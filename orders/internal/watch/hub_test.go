package watch_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/orders/internal/watch"
	"waybill.example/orders/order"
)

// database is where the orders are. Its clock is synctest's.
type database struct {
	mu       sync.Mutex
	orders   map[int64]order.Order
	took     time.Duration // of a query
	err      error         // of every query
	queries  [][]int64
	sessions int // open
	opened   int
	deaf     error // of every session that is opened
	changed  func(ids ...int64)
	end      chan error // ends a session
}

func newDatabase(ids ...int64) *database {
	db := &database{orders: map[int64]order.Order{}, took: time.Millisecond}
	for _, id := range ids {
		db.set(id, order.Pending)
	}
	return db
}

func (db *database) set(id int64, s order.Status) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.orders[id] = order.Order{ID: id, State: order.State{Status: s}}
}

func (db *database) GetAll(_ context.Context, ids []int64) (found []order.Order, err error) {
	db.mu.Lock()
	db.queries = append(db.queries, ids)
	for _, id := range ids {
		if o, exists := db.orders[id]; exists {
			found = append(found, o)
		}
	}
	err = db.err
	db.mu.Unlock()
	<-time.After(db.took) // synctest's: the answer is older than its arrival
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (db *database) Listen(ctx context.Context, changed func(ids ...int64)) error {
	db.mu.Lock()
	if db.deaf != nil {
		db.mu.Unlock()
		return db.deaf
	}
	db.sessions++
	db.opened++
	db.changed = changed
	db.mu.Unlock()
	defer func() { db.mu.Lock(); db.sessions--; db.mu.Unlock() }()
	changed()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-db.end:
		return err
	}
}

// fail has every query answer err.
func (db *database) fail(err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.err = err
}

// sessionsSeen is how many sessions are open, and were opened.
func (db *database) sessionsSeen() (open, opened int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.sessions, db.opened
}

func (db *database) count() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.queries)
}

// run runs a test with a hub and a clock of its own.
func run(t *testing.T, db *database, test func(t *testing.T, hub *watch.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db.end = make(chan error) // of this clock
		hub := watch.New(db, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- hub.Run(ctx) }()
		test(t, hub)
		stop()
		require.NoError(t, <-ended)
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestHub_AWatcherIsHandedEachChangeAndNothingTwice(t *testing.T) {
	t.Parallel()
	db := newDatabase(1, 2)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(1)
		defer w.Close()
		now, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Pending, now.Status)

		hub.Changed(1, 2) // nothing to see
		_, err = w.Next(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		for _, s := range []order.Status{order.Confirmed, order.Cancelled} {
			db.set(1, s)
			hub.Changed(1)
			now, err = w.Next(within(t, time.Second))
			require.NoError(t, err)
			require.Equal(t, s, now.Status)
		}
	})
}

func TestHub_AnUnknownOrderIsSaid(t *testing.T) {
	t.Parallel()
	run(t, newDatabase(), func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(7)
		defer w.Close()
		_, err := w.Read(within(t, time.Second))
		require.ErrorIs(t, err, order.ErrNotFound)
	})
}

// A change that is committed after the query of a watch has looked, and said while that is under
// way, must not be mistaken for what the query has seen.
func TestHub_AChangeDuringAQueryIsReadAfterIt(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(1)
		defer w.Close()
		go func() {
			<-time.After(db.took / 2)
			db.set(1, order.Confirmed)
			hub.Changed(1)
		}()
		now, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Pending, now.Status)
		now, err = w.Next(within(t, time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Confirmed, now.Status)
	})
}

// However many wait, there is one query at a time, for all that are due.
func TestHub_AThousandWatchersShareAFewQueries(t *testing.T) {
	t.Parallel()
	db := newDatabase()
	for id := range int64(1000) {
		db.set(id, order.Pending)
	}
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		var all sync.WaitGroup
		for id := range int64(1000) {
			all.Go(func() {
				w := hub.Watch(id)
				defer w.Close()
				now, err := w.Read(within(t, time.Minute))
				for err == nil && !now.Terminal() {
					now, err = w.Next(within(t, time.Minute))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		<-time.After(time.Second)
		for id := range int64(1000) {
			db.set(id, order.Confirmed)
			hub.Changed(id)
		}
		all.Wait()
		require.Less(t, db.count(), 20)
		require.EqualValues(t, db.count(), hub.Reads())
	})
}

func TestHub_WithoutWatchersThereIsNoSessionAndNoQuery(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		hub.Changed(1)
		hub.Changed()
		<-time.After(time.Hour)
		_, opened := db.sessionsSeen()
		require.Zero(t, opened+db.count())

		w := hub.Watch(1)
		_, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		synctest.Wait()
		open, _ := db.sessionsSeen()
		require.Equal(t, 1, open)
		w.Close()
		<-time.After(time.Minute)
		open, _ = db.sessionsSeen()
		require.Zero(t, open)
		queries := db.count()
		<-time.After(time.Hour)
		require.Equal(t, queries, db.count())
	})
}

func TestHub_ASessionOutlivesAShortPauseBetweenWatches(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		for range 100 {
			w := hub.Watch(1)
			_, err := w.Read(within(t, time.Second))
			require.NoError(t, err)
			w.Close()
			<-time.After(time.Second)
		}
		_, opened := db.sessionsSeen()
		require.Equal(t, 1, opened)
	})
}

// What was committed while no session listened was said to nobody.
func TestHub_EverythingIsReadAgainWhenASessionIsOpenedAgain(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(1)
		defer w.Close()
		_, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		db.end <- errors.New("the connection was lost")
		db.set(1, order.Confirmed)
		now, err := w.Next(within(t, 2*time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Confirmed, now.Status)
		_, opened := db.sessionsSeen()
		require.Equal(t, 2, opened)
	})
}

// Where nothing can be heard (a pooler in transaction mode, SQL by hand), a change is found late
// and not never.
func TestHub_AChangeThatNobodySpeaksOfIsFoundWithinSeconds(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	db.deaf = errors.New("cannot listen")
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(1)
		defer w.Close()
		_, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		<-time.After(30 * time.Second)
		db.set(1, order.Cancelled)
		now, err := w.Next(within(t, 6*time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Cancelled, now.Status)
	})
}

func TestHub_AQueryThatFailsIsToldToWhoAskedAndTriedAgainForTheRest(t *testing.T) {
	t.Parallel()
	db := newDatabase(1)
	run(t, db, func(t *testing.T, hub *watch.Hub) {
		w := hub.Watch(1)
		defer w.Close()
		_, err := w.Read(within(t, time.Second))
		require.NoError(t, err)
		db.set(1, order.Confirmed)
		db.fail(errors.New("the database is down"))
		hub.Changed(1)
		_, err = w.Next(within(t, 3*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = w.Read(within(t, 3*time.Second))
		require.ErrorContains(t, err, "the database is down")
		db.fail(nil)
		now, err := w.Next(within(t, 3*time.Second))
		require.NoError(t, err)
		require.Equal(t, order.Confirmed, now.Status)
	})
}
