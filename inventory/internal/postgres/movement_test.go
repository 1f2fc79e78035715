package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
)

// However changes, retries of changes and orders come together, from two instances: each change
// takes effect once and is in the log once, in the order in which it took effect, and what is there
// adds up to it. Nobody waits in a ring.
func TestChange_TheLogAddsUpWhileOrdersComeAndGo(t *testing.T) {
	t.Parallel()
	one, pool := newStore(t)
	stores := []*postgres.Store{one, postgres.NewStore(pool)}
	const skus, operators, rounds = 3, 6, 20
	name := func(i int) string { return fmt.Sprint("sku", i%skus) }
	for i := range skus {
		set(t, one, name(i), 500)
	}
	var wg sync.WaitGroup
	errs := make([]error, operators+2)
	for o := range operators {
		wg.Go(func() { errs[o] = operate(t.Context(), stores, o, rounds, name) })
	}
	for c := range 2 {
		wg.Go(func() {
			for i := range rounds * 3 {
				order := int64(10_000*(c+1) + i)
				_, err := apply(t.Context(), stores[c], pool, reserve(order, name(i), 5), release(order-1), reserve(order+5000, name(i+1), 1))
				errs[operators+c] = errors.Join(errs[operators+c], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	requireConserved(t, pool)
	require.Zero(t, deadlocks(t, pool))
	for i := range skus {
		requireChain(t, one, name(i))
	}
	var movements int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from stock_movements where kind in ('move', 'count')").Scan(&movements))
	require.Equal(t, operators*rounds, movements, "each change once")
	var entries int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from audit_log").Scan(&entries))
	require.Equal(t, skus+operators*rounds, entries)
}

// operate has one operator move and count, and send each request to both instances.
func operate(ctx context.Context, stores []*postgres.Store, operator, rounds int, name func(int) string) error {
	for i := range rounds {
		c := stock.Change{
			SKU: name(operator + i), Kind: stock.KindMove, Amount: int64(operator - 2), Reason: "r", Origin: tester,
			Key: fmt.Sprint("operator ", operator, " request ", i),
		}
		if operator == 0 {
			c.Kind, c.Amount = stock.KindCount, int64(1000+i)
		}
		var answers [2]stock.Changed
		var errs [2]error
		var both sync.WaitGroup
		for instance, s := range stores {
			both.Go(func() { answers[instance], errs[instance] = s.Change(ctx, c) })
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		if answers[0].Movement.ID != answers[1].Movement.ID {
			return fmt.Errorf("request %q was carried out as %+v and as %+v", c.Key, answers[0], answers[1])
		}
	}
	return nil
}

// requireChain checks that each movement begins where orders can have left the one before: what was
// received changes by the deltas alone.
func requireChain(t *testing.T, s *postgres.Store, sku string) {
	t.Helper()
	movements, err := s.Movements(t.Context(), sku, 1<<62, 10_000)
	require.NoError(t, err)
	for i, m := range movements[:len(movements)-1] {
		before := movements[i+1]
		require.Greater(t, m.ID, before.ID)
		require.Equal(t, before.OnHand+before.Reserved+m.Delta, m.OnHand+m.Reserved, "%+v after %+v", m, before)
	}
}

// What a tag says must be true when the change is made, and not when its transaction began to wait.
func TestChange_SeesTheMovementThatItHasWaitedFor(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	seen, err := s.Movements(t.Context(), "a", 1<<62, 1)
	require.NoError(t, err)
	holder, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "update stock set on_hand = 6, received = 6 where sku = 'a'")
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), "insert into stock_movements (sku, kind, delta, on_hand, reserved) values ('a', 'set', 1, 6, 0)")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Change(context.WithoutCancel(t.Context()), stock.Change{
			SKU: "a", Kind: stock.KindCount, Amount: 5, Reason: "r", IfMatch: stock.LogTag(seen[0].ID), Origin: tester,
		})
		done <- err
	}()
	requireOneWaits(t, pool)
	require.NoError(t, holder.Commit(t.Context()))
	require.ErrorIs(t, <-done, stock.ErrMoved)
	requireLevel(t, s, "a", 6, 0)
}

// What there was before the log began is its first entry, and the numbers add up.
func TestMovements_BeginWithWhatThereWas(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	_, err := apply(t.Context(), s, pool, reserve(1, "a", 2))
	require.NoError(t, err)
	url := pool.Config().ConnString()
	_, err = migrations.Down(t.Context(), url, migrations.Inventory)
	require.NoError(t, err)
	_, err = migrations.Up(t.Context(), url, migrations.Inventory)
	require.NoError(t, err)
	movements, err := s.Movements(t.Context(), "a", 1<<62, 10)
	require.NoError(t, err)
	require.Len(t, movements, 1)
	require.Equal(t, []any{stock.KindInitial, int64(5), int64(3), int64(2)},
		[]any{movements[0].Kind, movements[0].Delta, movements[0].OnHand, movements[0].Reserved})
	requireConserved(t, pool)
}

func TestHolders_LooksAtABoundedNumberOfOrders(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	_, err := apply(t.Context(), s, pool, reserve(1, "a", 2))
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `insert into reservations (order_id, sku, quantity, state) select n, 'b', 1, 'RESERVED' from generate_series(2, 60000) n`)
	require.NoError(t, err)
	held, next, err := s.Holders(t.Context(), "a", 1<<62, 10)
	require.NoError(t, err)
	require.Empty(t, held)
	require.Positive(t, next)
	held, next, err = s.Holders(t.Context(), "a", next, 10)
	require.NoError(t, err)
	require.Equal(t, int64(1), held[0].OrderID)
	require.Zero(t, next)
}

// An entry of the audit log is written with the change or not at all.
func TestChange_IsInTheAuditLog(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a/b", 5)
	_, err := s.Change(t.Context(), stock.Change{SKU: "a/b", Kind: stock.KindMove, Amount: -6, Reason: "r", Origin: tester})
	require.ErrorIs(t, err, stock.ErrTooFew)
	_, err = s.Change(t.Context(), stock.Change{SKU: "a/b", Kind: stock.KindMove, Amount: -2, Reason: "broken", Origin: tester})
	require.NoError(t, err)
	rows, err := pool.Query(t.Context(), "select concat_ws('|', actor, client, action, object, reason, before, after) from audit_log order by seq")
	require.NoError(t, err)
	entries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{
		`tester|127.0.0.1|stock.set|stock/a%2Fb||{"onHand":5,"reserved":0}`,
		`tester|127.0.0.1|stock.move|stock/a%2Fb|broken|{"onHand":5,"reserved":0}|{"onHand":3,"reserved":0}`,
	}, entries)
}
