package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	chassis "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
)

// The primary dies, and the standby that is promoted lacks the last orders, and the last numbers of
// the sequence. Clients were answered with those ids, and messages on Kafka have them. However many
// sessions find the new primary, and whatever comes first, no id is given out again.
func TestBeginSession_NoIDIsGivenOutTwiceAfterAFailover(t *testing.T) {
	t.Parallel()
	servers := pgtest.NewReplicated(t)
	db := servers.New(t, migrations.Outbox, migrations.Orders)
	pool, err := chassis.Open(t.Context(), chassis.Config{URL: config.Secret(db.URL)}, "orders", postgres.BeginSession)
	require.NoError(t, err)
	defer pool.Close()
	store := postgres.NewStore(pool)
	place := func(n int) (ids []int64, err error) {
		requests := make([]order.Request, n)
		for i := range requests {
			requests[i] = order.Request{Draft: order.Draft{UserID: fmt.Sprint("u", i), SKU: "burger", Quantity: 1}}
		}
		placed, err := store.PlaceAll(t.Context(), requests)
		for _, p := range placed {
			ids = append(ids, p.ID)
		}
		return ids, err
	}
	first, err := place(10)
	require.NoError(t, err)
	require.Equal(t, int64(1), first[0], "a new database begins at 1")
	require.NoError(t, servers.Standby.CaughtUp(t.Context()))
	servers.StopStreaming(t)
	lost, err := place(100)
	require.NoError(t, err)
	servers.FailOver(t)

	var next []int64
	require.Eventually(t, func() bool {
		next, err = place(100)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "%v", err)
	require.Greater(t, next[0], lost[len(lost)-1])
	more, err := place(1)
	require.NoError(t, err)
	require.Equal(t, next[len(next)-1]+1, more[0], "once is enough")
}

// One database is recovered on another server and copied back to the one that goes on, whose
// timeline is the one that it knows: docs/backups.md has it forget that.
func TestBeginSession_ADatabaseThatIsCopiedBackSkipsIDs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	next := func() (id int64) {
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			if err := postgres.BeginSession(t.Context(), tx.Conn()); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), "select nextval('orders_id_seq')").Scan(&id)
		}))
		return id
	}
	before := next()
	require.Equal(t, before+1, next())
	_, err := db.Pool.Exec(t.Context(), "update orders_timeline set timeline = 0")
	require.NoError(t, err)
	after := next()
	require.Greater(t, after, before+1_000_000)
	require.Equal(t, after+1, next(), "once is enough")
}
