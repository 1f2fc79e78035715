package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
)

func keyed(user, key string, quantity int32) order.Request {
	return order.Request{Draft: order.Draft{UserID: user, SKU: "burger", Quantity: quantity}, Key: key}
}

func count(t *testing.T, db *pgtest.Database, what string) (n int) {
	t.Helper()
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from "+what).Scan(&n))
	return n
}

// However often a request is made, however many at once and on however many instances: one order,
// one event, one answer.
func TestPlace_ARequestMadeManyTimesAtOnceIsOneOrder(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	instances := []*instance{newInstance(db), newInstance(db), newInstance(db)}
	const requests, times = 20, 9
	var ids [requests][times]int64
	var clients sync.WaitGroup
	for r := range requests {
		for n := range times {
			clients.Go(func() {
				request := keyed(fmt.Sprint("u", r%3), fmt.Sprint("key ", r), int32(r+1))
				var err error
				for range 100 { // as a client does with a 503
					if ids[r][n], err = instances[n%len(instances)].Place(t.Context(), request); err == nil {
						return
					}
				}
				require.NoError(t, err)
			})
		}
	}
	clients.Wait()
	for _, answers := range ids {
		for _, id := range answers {
			require.Equal(t, answers[0], id)
		}
	}
	require.Equal(t, []int{requests, requests, requests},
		[]int{count(t, db, "orders"), count(t, db, "outbox"), count(t, db, "order_requests")})
}

func TestPlaceAll_EqualKeysInOneTransactionAreOneOrder(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	placed, err := store.PlaceAll(t.Context(), []order.Request{
		keyed("u", "a", 1), keyed("u", "a", 1), keyed("u", "a", 2), keyed("v", "a", 2), keyed("u", "", 1), keyed("u", "", 1),
	})
	require.NoError(t, err)
	require.Equal(t, placed[0], placed[1])
	require.ErrorIs(t, placed[2].Err, order.ErrKeyReused)
	require.Equal(t, 4, count(t, db, "orders"), "a of u, a of v, and two without a key")
	again, err := store.PlaceAll(t.Context(), []order.Request{keyed("v", "a", 2), keyed("u", "a", 3), keyed("u", "b", 1), keyed("u", "a", 1)})
	require.NoError(t, err)
	require.Equal(t, placed[3], again[0])
	require.ErrorIs(t, again[1].Err, order.ErrKeyReused)
	require.Equal(t, placed[0], again[3])
	require.Equal(t, 5, count(t, db, "orders"))
	require.Equal(t, 5, count(t, db, "outbox"))
}

// Another instance has claimed the key and is about to commit, or will not.
func TestPlace_WaitsForTheInstanceThatHasClaimedTheKey(t *testing.T) {
	t.Parallel()
	for name, commits := range map[string]bool{"and commits": true, "and does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, store := start(t)
			tx, err := db.Pool.Begin(t.Context())
			require.NoError(t, err)
			request := keyed("u", "k", 1)
			digest := request.Digest()
			_, err = tx.Exec(t.Context(), "insert into order_requests (user_id, key, digest, order_id) values ('u', 'k', $1, 4711)", digest[:])
			require.NoError(t, err)
			var id int64
			var failed error
			var placing sync.WaitGroup
			placing.Go(func() { id, failed = store.Place(t.Context(), request) })
			awaitLockWaiter(t, db)
			if commits {
				require.NoError(t, tx.Commit(t.Context()))
			} else {
				require.NoError(t, tx.Rollback(t.Context()))
			}
			placing.Wait()
			require.NoError(t, failed)
			require.Equal(t, commits, id == 4711)
			require.Equal(t, !commits, count(t, db, "orders") == 1)
			require.Equal(t, count(t, db, "orders"), count(t, db, "outbox"))
		})
	}
}

// Clients give up at any moment while the database stalls at others, and send the request again
// until they have an answer: the promise of the 503.
func TestPlace_AClientThatSendsAgainUntilItIsAnsweredHasOneOrder(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	stalling, stop := context.WithCancel(t.Context())
	var stalls, clients sync.WaitGroup
	stalls.Go(func() {
		for stalling.Err() == nil {
			_, _ = db.Pool.Exec(stalling, "do $$ begin lock table outbox in share mode; perform pg_sleep(random() * 0.05); end $$")
		}
	})
	const requests = 60
	for r := range requests {
		clients.Go(func() {
			var answer int64
			for longest := 60; answer == 0; longest += 10 { // until the machine is fast enough
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(longest))*time.Millisecond)
				answer, _ = store.Place(ctx, keyed("u", fmt.Sprint(r), int32(r+1)))
				cancel()
			}
			got, err := store.Get(t.Context(), answer)
			require.NoError(t, err)
			require.EqualValues(t, r+1, got.Quantity)
		})
	}
	clients.Wait()
	stop()
	stalls.Wait()
	require.Equal(t, []int{requests, requests}, []int{count(t, db, "orders"), count(t, db, "outbox")})
}

func TestForgetKeys_RemovesWhatIsOldAndNothingElse(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	for _, key := range []string{"a", "b", "c"} {
		_, err := store.Place(t.Context(), keyed("u", key, 1))
		require.NoError(t, err)
	}
	_, err := db.Pool.Exec(t.Context(), "update order_requests set created_at = now() - interval '25 h' where key <> 'c'")
	require.NoError(t, err)
	for _, want := range []int{1, 1, 0} {
		n, err := store.ForgetKeys(t.Context(), 24*time.Hour, 1)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, 1, count(t, db, "order_requests where key = 'c'"))
	require.Equal(t, 3, count(t, db, "orders"))
}

func TestRequestCancel_AskingAgainWritesNothing(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	id, err := store.Place(t.Context(), keyed("u", "", 1))
	require.NoError(t, err)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			_, err := store.RequestCancel(t.Context(), order.Cancellation{OrderID: id, Reason: "why"})
			require.NoError(t, err)
		})
	}
	clients.Wait()
	require.Equal(t, 1, count(t, db, "outbox where type = 'OrderCancelRequested'"))
	var version string
	read := func() string {
		require.NoError(t, db.Pool.QueryRow(t.Context(), "select xmin::text from orders").Scan(&version))
		return version
	}
	before := read()
	found, err := store.RequestCancel(t.Context(), order.Cancellation{OrderID: id, Reason: "another"})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), found.CancelRequestedAt, time.Minute)
	require.Equal(t, before, read(), "the row was written again")
}

func TestRequestCancel_AKeyIsOfOneRequest(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	placing := keyed("u", "place", 1)
	id, err := store.Place(t.Context(), placing)
	require.NoError(t, err)
	ask := order.Cancellation{OrderID: id, Reason: "why", Key: "cancel"}
	for range 2 {
		_, err = store.RequestCancel(t.Context(), ask)
		require.NoError(t, err)
	}
	ask.Reason = "another"
	_, err = store.RequestCancel(t.Context(), ask)
	require.ErrorIs(t, err, order.ErrKeyReused)
	ask.Key = "place"
	_, err = store.RequestCancel(t.Context(), ask)
	require.ErrorIs(t, err, order.ErrKeyReused)
	placing.Key = "cancel"
	_, err = store.Place(t.Context(), placing)
	require.ErrorIs(t, err, order.ErrKeyReused)
	require.Equal(t, 1, count(t, db, "outbox where type = 'OrderCancelRequested'"))
}

// A session plans each statement once, most likely while the table is small: the plan has to be
// right for the table that it becomes.
func TestRequests_AreFoundByIndexHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	conn, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	do := func(sql string) {
		_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, sql)
	}
	do("set plan_cache_mode = force_generic_plan") // as services do
	do(`insert into order_requests (user_id, key, digest, order_id)
		select 'few', n::text, sha256('x'), n from generate_series(1, 500) as n`)
	plan := func(name, sql, arguments string) string {
		do("prepare " + name + " as " + sql)
		do("execute " + name + arguments)
		do(`insert into order_requests (user_id, key, digest, order_id)
			select '` + name + `', n::text, sha256('x'), n from generate_series(1, 20000) as n`)
		rows, err := conn.Query(t.Context(), "explain execute "+name+arguments, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return strings.Join(lines, "\n")
	}
	found := plan("look_up", postgres.LookUpSQL, "(array['u'], array['1'])")
	require.Contains(t, found, "Index Scan using order_requests_pkey", found)
	require.NotContains(t, found, "Seq Scan", found)
	require.NotRegexp(t, "Hash|Merge", found)
}
