package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	chassis "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newStore(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Inventory)
	return postgres.NewStore(db.Pool), db.Pool
}

func reserve(order int64, sku string, quantity int32) stock.Command {
	return reserveAll(order, stock.Line{SKU: sku, Quantity: quantity})
}

func reserveAll(order int64, lines ...stock.Line) stock.Command {
	return stock.Command{Action: stock.Reserve, OrderID: order, Lines: lines}
}

func release(order int64) stock.Command { return stock.Command{Action: stock.Release, OrderID: order} }

// tester is who changes the stock in tests.
var tester = stock.Origin{Actor: "tester", Client: "127.0.0.1"}

func set(t *testing.T, s *postgres.Store, sku string, onHand int64) {
	t.Helper()
	_, err := s.Change(t.Context(), stock.Change{SKU: sku, Kind: stock.KindSet, Amount: onHand, Origin: tester})
	require.NoError(t, err)
}

// apply applies commands in one transaction and returns the answers' states.
func apply(ctx context.Context, s *postgres.Store, pool *pgxpool.Pool, commands ...stock.Command) (states []stock.State, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		replies, err := applyIn(ctx, s, tx, commands...)
		states = nil
		for _, r := range replies {
			states = append(states, r.State)
		}
		return err
	})
	return states, err
}

// applyIn applies commands inside tx, as the consumer does.
func applyIn(ctx context.Context, s *postgres.Store, tx pgx.Tx, commands ...stock.Command) ([]stock.Reply, error) {
	var reads, writes pgx.Batch
	known := s.Load(&reads, commands)
	if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
		return nil, err
	}
	decision := stock.Decide(*known, commands)
	s.Save(&writes, decision, time.Now())
	return decision.Replies, tx.SendBatch(ctx, &writes).Close()
}

func requireLevel(t *testing.T, s *postgres.Store, sku string, onHand, reserved int64) {
	t.Helper()
	level, err := s.Level(t.Context(), sku)
	require.NoError(t, err)
	require.Equal(t, []int64{onHand, reserved}, []int64{level.OnHand, level.Reserved()}, "on hand and reserved of %s", sku)
}

// requireConserved counts the reservations themselves.
func requireConserved(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var broken []string
	require.NoError(t, pool.QueryRow(t.Context(), "select coalesce(array_agg(sku), '{}') from stock_audit").Scan(&broken))
	require.Empty(t, broken, "received is not on hand + reserved")
}

func TestSave_ReservationsOutliveTheirTransaction(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	set(t, s, "b", 1)

	states, err := apply(t.Context(), s, pool,
		reserve(4, "b", 2), reserve(3, "a", 5), reserve(2, "a", 1), release(1), reserve(5, "x", 1))
	require.NoError(t, err)
	require.Equal(t, []stock.State{stock.Rejected, stock.Reserved, stock.Rejected, stock.Released, stock.Rejected}, states)
	requireLevel(t, s, "a", 0, 5)
	requireLevel(t, s, "b", 1, 0)

	for _, want := range []stock.Reservation{
		{OrderID: 1, State: stock.Released},
		{OrderID: 2, Lines: []stock.Line{{SKU: "a", Quantity: 1}}, State: stock.Rejected, Reason: "insufficient stock: 0 available, 1 requested"},
		{OrderID: 3, Lines: []stock.Line{{SKU: "a", Quantity: 5}}, State: stock.Reserved},
		{OrderID: 4, Lines: []stock.Line{{SKU: "b", Quantity: 2}}, State: stock.Rejected, Reason: "insufficient stock: 1 available, 2 requested"},
		{OrderID: 5, Lines: []stock.Line{{SKU: "x", Quantity: 1}}, State: stock.Rejected, Reason: `unknown sku "x"`},
	} {
		got, err := s.Reservation(t.Context(), want.OrderID)
		require.NoError(t, err)
		require.NotZero(t, got.CreatedAt)
		require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(stock.Reservation{}, "CreatedAt", "UpdatedAt")))
	}

	// A second transaction answers from what the first one left.
	states, err = apply(t.Context(), s, pool, reserve(3, "a", 5), release(3), reserve(1, "a", 1), reserve(6, "a", 5), release(3))
	require.NoError(t, err)
	require.Equal(t, []stock.State{stock.Reserved, stock.Released, stock.Rejected, stock.Reserved, stock.Released}, states)
	requireLevel(t, s, "a", 0, 5)
	requireConserved(t, pool)
}

func TestSave_NothingIsLeftOfATransactionThatIsRolledBack(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	boom := errors.New("boom")
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := applyIn(t.Context(), s, tx, reserve(1, "a", 5))
		return errors.Join(err, boom)
	})
	require.ErrorIs(t, err, boom)
	requireLevel(t, s, "a", 5, 0)
	_, err = s.Reservation(t.Context(), 1)
	require.ErrorIs(t, err, stock.ErrNotFound)
}

// Two transactions name the same skus in opposite orders: of each item there is one, and one order
// has it.
func TestStore_TwoConsumersShareTheLastItems(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	const skus = 20
	name := func(i int) string { return string(rune('a' + i)) }
	for i := range skus {
		set(t, s, name(i), 1)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for consumer := range 2 {
		var commands []stock.Command
		for i := range skus {
			sku := i
			if consumer == 1 {
				sku = skus - 1 - i
			}
			commands = append(commands, reserve(int64(1+consumer*skus+i), name(sku), 1))
		}
		wg.Go(func() { _, errs[consumer] = apply(t.Context(), s, pool, commands...) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for i := range skus {
		requireLevel(t, s, name(i), 0, 1)
	}
	requireConserved(t, pool)
}

// Transactions that lock rows in the same order cannot deadlock. While somebody holds the row in
// the middle, a batch that names three rows backwards has the first one and waits, and the last is
// free.
func TestLoad_LocksRowsInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	backwards := map[string][]stock.Command{
		"select sku from stock where sku = 'b'":                      {reserveAll(6, stock.Line{SKU: "c", Quantity: 1}, stock.Line{SKU: "b", Quantity: 1}), reserve(5, "a", 1)},
		"select order_id::text from reservations where order_id = 2": {release(3), release(2), release(1)},
	}
	for middle, commands := range backwards {
		t.Run(middle, func(t *testing.T) {
			t.Parallel()
			s, pool := newStore(t)
			for _, sku := range []string{"a", "b", "c"} {
				set(t, s, sku, 5)
			}
			_, err := apply(t.Context(), s, pool, reserve(1, "a", 1), reserve(2, "b", 1), reserve(3, "c", 1))
			require.NoError(t, err)
			holder, err := pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = holder.Exec(t.Context(), middle+" for update")
			require.NoError(t, err)

			done := make(chan error, 1)
			go func() {
				_, err := apply(t.Context(), s, pool, commands...)
				done <- err
			}()
			requireOneWaits(t, pool)
			all, _, _ := strings.Cut(middle, " where")
			rows, _ := pool.Query(t.Context(), all+" for update skip locked")
			free, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Len(t, free, 1)
			require.Contains(t, []string{"c", "3"}, free[0])
			require.NoError(t, holder.Rollback(t.Context()))
			require.NoError(t, <-done)
		})
	}
}

// requireOneWaits waits until a session waits for a lock.
func requireOneWaits(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	const waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
	require.Eventually(t, func() bool {
		var n int
		return pool.QueryRow(t.Context(), waiting).Scan(&n) == nil && n == 1
	}, time.Minute, 5*time.Millisecond)
}

// Two consumers hold messages of one order, as they may for a moment in a rebalance: the release
// and the request each find no reservation. The second to write must not rely on it.
func TestSave_TheSecondTransactionOfAnOrderIsAConflict(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	first, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = applyIn(t.Context(), s, first, release(1))
	require.NoError(t, err)

	second := make(chan error, 1)
	go func() {
		_, err := apply(t.Context(), s, pool, reserve(1, "a", 2))
		second <- err
	}()
	requireOneWaits(t, pool)
	require.NoError(t, first.Commit(t.Context()))

	failure := <-second
	require.ErrorContains(t, failure, "another transaction was faster")
	require.True(t, chassis.Unavailable(failure), "it is worth another try")
	states, err := apply(t.Context(), s, pool, reserve(1, "a", 2))
	require.NoError(t, err)
	require.Equal(t, []stock.State{stock.Rejected}, states)
	requireLevel(t, s, "a", 5, 0)
}

// Counts are set while orders come and go. In the end every item is accounted for, and what was
// received is the last count and what is reserved.
func TestChange_ConservesStockWhileOrdersComeAndGo(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 1000)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for consumer := range 2 {
		wg.Go(func() {
			for i := range int64(60) {
				order := int64(consumer)*1000 + i + 2
				_, err := apply(t.Context(), s, pool, reserve(order, "a", 7), release(order-1), reserve(order+500, "a", 3))
				errs[consumer] = errors.Join(errs[consumer], err)
			}
		})
	}
	wg.Go(func() {
		for i := range int64(60) {
			_, err := s.Change(t.Context(), stock.Change{SKU: "a", Kind: stock.KindSet, Amount: 1000 + i%3, Origin: tester})
			errs[2] = errors.Join(errs[2], err)
		}
	})
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	requireConserved(t, pool)
	// Of each consumer: 60 orders of 3, and the last of 7, which nobody gave back.
	level, err := s.Level(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(2*(60*3+7)), level.Reserved())
}

func TestChange_ACountKeepsAccounts(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	_, err := s.Level(t.Context(), "a")
	require.ErrorIs(t, err, stock.ErrNotFound)

	set(t, s, "a", 5)
	_, err = apply(t.Context(), s, pool, reserve(1, "a", 4))
	require.NoError(t, err)
	requireLevel(t, s, "a", 1, 4)
	for range 2 { // twice is the same as once
		level, err := s.Change(t.Context(), stock.Change{SKU: "a", Kind: stock.KindSet, Amount: 10, Origin: tester})
		require.NoError(t, err)
		require.Equal(t, []int64{10, 14}, []int64{level.OnHand, level.Received})
	}
	set(t, s, "a", 0)
	requireLevel(t, s, "a", 0, 4)
	set(t, s, "a", stock.MaxOnHand)
	_, err = apply(t.Context(), s, pool, release(1))
	require.NoError(t, err, "what is given back fits in, however much there is")
	requireConserved(t, pool)
}

func TestLevels_PageInTheOrderOfBytes(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	want := []string{"B", "a", "a b", "b", "é", "🍔"}
	for _, sku := range []string{"é", "b", "🍔", "B", "a b", "a"} {
		set(t, s, sku, 1)
	}
	var got []string
	for after := ""; ; {
		page, err := s.Levels(t.Context(), stock.Page{After: after, Limit: 4})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			got = append(got, l.SKU)
		}
		after = got[len(got)-1]
	}
	require.Equal(t, want, got)
}

// The schema itself refuses what no code of ours should write.
func TestSchema_RefusesImpossibleRows(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	for constraint, sql := range map[string]string{
		"stock_on_hand_not_negative":     "update stock set on_hand = -1",
		"stock_conserved":                "update stock set on_hand = 6",
		"stock_sku_length":               "insert into stock (sku, on_hand, received) values ('', 0, 0)",
		"reservations_state":             "insert into reservations (order_id, sku, quantity, state) values (1, 'a', 1, 'MAYBE')",
		"reservations_of_something":      "insert into reservations (order_id, state) values (1, 'RESERVED')",
		"reservations_rejected_says_why": "insert into reservations (order_id, sku, quantity, state) values (1, 'a', 1, 'REJECTED')",
		"reservations_items_several":     `insert into reservations (order_id, items, state) values (1, '[{"sku":"a","quantity":1}]', 'RESERVED')`,
		"reservations_items_lines":       `insert into reservations (order_id, items, state) values (1, '[{"sku":"a","quantity":1},{"sku":"b"}]', 'RESERVED')`,
		"reservations_quantity_positive": "insert into reservations (order_id, sku, quantity, state) values (1, 'a', 0, 'RESERVED')",
		"reservations_order_positive":    "insert into reservations (order_id, state) values (0, 'RELEASED')",
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.ErrorContains(t, err, `"`+constraint+`"`)
	}
}

func TestStockAudit_NamesASkuThatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	set(t, s, "b", 5)
	_, err := apply(t.Context(), s, pool, reserve(1, "a", 2), reserve(2, "b", 2))
	require.NoError(t, err)
	requireConserved(t, pool)
	_, err = pool.Exec(t.Context(), "update stock set on_hand = on_hand - 1 where sku = 'a'")
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "insert into reservations (order_id, sku, quantity, state) values (3, 'lost', 1, 'RESERVED')")
	require.NoError(t, err)
	var broken []string
	require.NoError(t, pool.QueryRow(t.Context(), "select array_agg(sku order by sku) from stock_audit").Scan(&broken))
	require.Equal(t, []string{"a", "lost"}, broken)
}
