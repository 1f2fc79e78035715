package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
)

// An order of several lines is kept, answered again and released as a whole.
func TestSave_EveryLineOfAnOrderIsKeptAndGivenBack(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	set(t, s, "b", 5)
	both := []stock.Line{{SKU: "b", Quantity: 1}, {SKU: "a", Quantity: 2}}
	states, err := apply(t.Context(), s, pool, reserveAll(1, both...), reserve(2, "a", 1), reserveAll(3, stock.Line{SKU: "a", Quantity: 9}, stock.Line{SKU: "x", Quantity: 1}))
	require.NoError(t, err)
	require.Equal(t, []stock.State{stock.Reserved, stock.Reserved, stock.Rejected}, states)
	requireLevel(t, s, "a", 2, 3)
	requireLevel(t, s, "b", 4, 1)
	requireConserved(t, pool)
	got, err := s.Reservation(t.Context(), 1)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(stock.Reservation{OrderID: 1, Lines: both, State: stock.Reserved}, got,
		cmpopts.IgnoreFields(stock.Reservation{}, "CreatedAt", "UpdatedAt")))

	states, err = apply(t.Context(), s, pool, reserveAll(1, both...), release(1), release(1), release(3))
	require.NoError(t, err)
	require.Equal(t, []stock.State{stock.Reserved, stock.Released, stock.Released, stock.Released}, states)
	requireLevel(t, s, "a", 4, 1)
	requireLevel(t, s, "b", 5, 0)
	requireConserved(t, pool)
}

// The audit counts the lines of orders of several, too.
func TestStockAudit_CountsEveryLine(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "a", 5)
	_, err := pool.Exec(t.Context(), `insert into reservations (order_id, items, state)
		values (1, '[{"sku":"a","quantity":2},{"sku":"lost","quantity":1}]', 'RESERVED')`)
	require.NoError(t, err)
	rows, _ := pool.Query(t.Context(), "select sku || ' ' || reserved from stock_audit order by sku")
	broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"a 2", "lost 1"}, broken)
}

// One row per sku is written for a batch, however many lines of how many orders name it, and an
// order of one line is the same statements and rows as ever.
func TestSave_AHotSKUIsUpdatedOncePerBatch(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "hot", 1000)
	set(t, s, "other", 1000)
	_, err := pool.Exec(t.Context(), `create table writes (name text);
create function note() returns trigger language plpgsql as $$ begin insert into writes values (tg_table_name); return null; end $$;
create trigger note after insert or update or delete on stock for each row execute function note();
create trigger note after insert or update or delete on reservations for each row execute function note()`)
	require.NoError(t, err)
	var commands []stock.Command
	for order := int64(1); order <= 50; order++ {
		commands = append(commands, reserveAll(order, stock.Line{SKU: "hot", Quantity: 2}, stock.Line{SKU: "other", Quantity: 1}),
			reserve(100+order, "hot", 1))
	}
	_, err = apply(t.Context(), s, pool, commands...)
	require.NoError(t, err)
	rows, _ := pool.Query(t.Context(), "select name || ' ' || count(*) from writes group by name order by name")
	written, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"reservations 100", "stock 2"}, written)
	requireLevel(t, s, "hot", 1000-50*3, 50*3)
}

// deadlocks is how many the server has broken in this database.
func deadlocks(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(),
		"select deadlocks from pg_stat_database where datname = current_database()").Scan(&n))
	return n
}

// Two consumers, each with batches of orders over the same ten skus in random order, while counts
// are set and orders are released: nobody waits in a ring, and every item is accounted for.
func TestStore_OrdersOfSeveralLinesInRandomOrderNeverDeadlock(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	const skus, orders, consumers = 10, 100, 2
	for i := range skus {
		set(t, s, fmt.Sprint("sku", i), 60)
	}
	random := rand.New(rand.NewPCG(1, 2))
	order := func(id int64) stock.Command {
		lines := make([]stock.Line, 0, skus)
		for _, sku := range random.Perm(skus)[:2+random.IntN(skus-1)] {
			lines = append(lines, stock.Line{SKU: fmt.Sprint("sku", sku), Quantity: 1 + random.Int32N(3)})
		}
		return reserveAll(id, lines...)
	}
	batches := make([][][]stock.Command, consumers)
	for c := range consumers {
		for first := int64(c)*orders + 1; first <= int64(c+1)*orders; first += 5 {
			batch := make([]stock.Command, 0, 6)
			for id := first; id < first+5; id++ {
				batch = append(batch, order(id))
			}
			batches[c] = append(batches[c], append(batch, release(first+random.Int64N(5))))
		}
	}

	var wg sync.WaitGroup
	errs := make([]error, consumers+1)
	finished := make(chan struct{}, consumers)
	for c := range consumers {
		wg.Go(func() { errs[c] = applyEach(t, s, pool, batches[c]); finished <- struct{}{} })
	}
	wg.Go(func() { errs[consumers] = holdAndChange(t.Context(), s, pool, skus, finished, consumers) })
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Zero(t, deadlocks(t, pool))
	requireConserved(t, pool)
	var reserved, rejected, short int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) filter (where state = 'RESERVED'),
		count(*) filter (where state = 'REJECTED') from reservations`).Scan(&reserved, &rejected))
	require.NotZero(t, reserved)
	require.NotZero(t, rejected, "there was not enough for all")
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from reservations
		where state = 'REJECTED' and reason not like 'insufficient stock of "sku%": % available, % requested%'`).Scan(&short))
	require.Zero(t, short, "rejections that do not say what was missing")
}

func applyEach(t *testing.T, s *postgres.Store, pool *pgxpool.Pool, batches [][]stock.Command) (err error) {
	for _, batch := range batches {
		_, failed := apply(t.Context(), s, pool, batch...)
		err = errors.Join(err, failed)
	}
	return err
}

// holdAndChange adds to one sku after the other until so many consumers have finished, and keeps
// each locked until another session waits for a lock: so a batch is always caught with some of its
// locks taken.
func holdAndChange(ctx context.Context, s *postgres.Store, pool *pgxpool.Pool, skus int, finished <-chan struct{}, consumers int) error {
	for i := 0; consumers > 0; i++ {
		sku := fmt.Sprint("sku", i%skus)
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select from stock where sku = $1 for update", sku); err != nil {
				return err
			}
			for waiting := 0; waiting < consumers; {
				select {
				case <-finished:
					consumers--
				default:
				}
				err := pool.QueryRow(ctx, `select count(*) from pg_stat_activity
					where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := s.Change(ctx, stock.Change{SKU: sku, Kind: stock.KindMove, Amount: int64(i % 2), Origin: tester}); err != nil {
			return err
		}
	}
	return nil
}

// The plan of the read that locks stock goes through the primary keys, whatever it is asked for.
func TestLoad_ReadsByPrimaryKeys(t *testing.T) {
	t.Parallel()
	_, pool := newStore(t)
	for _, sql := range []string{
		"insert into stock (sku, on_hand, received) select 's' || i, 1, 1 from generate_series(1, 5000) i",
		"insert into reservations (order_id, sku, quantity, state) select i, 's1', 1, 'RESERVED' from generate_series(1, 5000) i",
		"analyze stock, reservations",
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	rows, _ := pool.Query(t.Context(), "explain (costs off) "+postgres.LockStockSQL, []string{"s1", "s2"}, []int64{1, 2, 3})
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	text := strings.Join(plan, "\n")
	require.NotContains(t, text, "Seq Scan", text)
	require.Contains(t, text, "stock_pkey")
	require.Contains(t, text, "reservations_pkey")
	t.Log(text)
}
