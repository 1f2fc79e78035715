package postgres_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/orders/internal/consumer"
	"waybill.example/orders/internal/postgres"
	"waybill.example/sdk/inbox"
)

// listen listens on a session of its own, and passes on what it hears. It returns once changes are
// heard.
func listen(t *testing.T, db *pgtest.Database) (heard <-chan []int64, stop func()) {
	t.Helper()
	store := postgres.NewStore(db.Pool)
	hears := make(chan []int64, 1000)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- store.Listen(ctx, func(ids ...int64) { hears <- ids }) }()
	stop = func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	}
	require.Empty(t, next(t, hears), "whatever was committed before")
	return hears, stop
}

func next(t *testing.T, heard <-chan []int64) []int64 {
	t.Helper()
	select {
	case ids := <-heard:
		return ids
	case <-time.After(time.Minute):
		require.Fail(t, "nothing is heard")
		return nil
	}
}

// confirm handles a batch of commands as the service does.
func confirm(t *testing.T, pool *pgxpool.Pool, ids ...int64) {
	t.Helper()
	handler := consumer.New(pool, postgres.NewStore(pool), func(...int64) {}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	batch := make([]inbox.Delivery, len(ids))
	for i, id := range ids {
		record, err := contracts.Encode(contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now())})
		require.NoError(t, err)
		batch[i] = inbox.Delivery{Topic: record.Topic, Offset: time.Now().UnixNano() + int64(i), Key: []byte(record.Key), Value: record.Payload}
	}
	require.NoError(t, handler.Process(t.Context(), batch))
}

func insert(t *testing.T, db *pgtest.Database, n int) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, "+strconv.Itoa(n)+")")
	require.NoError(t, err)
}

func TestListen_HearsOfEveryChangeInEveryListeningProcess(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	insert(t, db, 503)
	one, stopOne := listen(t, db)
	two, stopTwo := listen(t, db)
	confirm(t, db.Pool, 1)
	require.Equal(t, []int64{1}, next(t, one))
	require.Equal(t, []int64{1}, next(t, two))
	stopOne()
	confirm(t, db.Pool, 3, 2)
	require.Equal(t, []int64{2, 3}, next(t, two))

	many := make([]int64, 500)
	for i := range many {
		many[i] = int64(i) + 4
	}
	confirm(t, db.Pool, many...)
	require.Empty(t, next(t, two), "more ids than a payload holds: any order")
	stopTwo()
}

// What notifies serialises its commits, so nobody notifies while nobody listens.
func TestSave_NotifiesOnlyWhileAProcessListens(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	insert(t, db, 2)
	by, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer by.Release()
	_, err = by.Exec(t.Context(), "listen orders")
	require.NoError(t, err)
	confirm(t, db.Pool, 1)
	heard, stop := listen(t, db)
	confirm(t, db.Pool, 2)
	require.Equal(t, []int64{2}, next(t, heard))
	n, err := by.Conn().WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", n.Payload, "nothing came before it")
	stop()
}

// A transaction that has found nobody listening and commits later is waited for: who listens reads
// what it did, and the next transaction notifies.
func TestListen_WaitsForTransactionsThatHaveNotNotified(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	insert(t, db, 2)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "with ids as (select $1::bigint[] as ids) select "+postgres.NotifySQL, []int64{1})
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "update orders set status = 'CONFIRMED' where id = 1")
	require.NoError(t, err)

	store := postgres.NewStore(db.Pool)
	ready := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- store.Listen(ctx, func(...int64) {
			o, err := store.Get(context.WithoutCancel(ctx), 1)
			if err == nil {
				ready <- string(o.Status)
			}
		})
	}()
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())").Scan(&waiting))
		return waiting == 1
	}, 20*time.Second, 5*time.Millisecond)
	require.Empty(t, ready)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, "CONFIRMED", <-ready)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}
