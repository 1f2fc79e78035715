package postgres_test

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	chassis "waybill.example/chassis/postgres"
	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/app"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/order"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// instance is a store whose placements share transactions, as the service wires it.
type instance struct {
	*postgres.Store

	place httpapi.Place
}

func newInstance(db *pgtest.Database) *instance {
	store := postgres.NewStore(db.Pool)
	return &instance{store, app.NewPlacer(store)}
}

// Place places one order and returns its id.
func (i *instance) Place(ctx context.Context, r order.Request) (int64, error) {
	placed, err := i.place(ctx, r)
	return placed.ID, cmp.Or(err, placed.Err)
}

func start(t *testing.T) (*pgtest.Database, *instance) {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	return db, newInstance(db)
}

func created(t *testing.T, db *pgtest.Database) []contracts.OrderCreated {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), "select payload from outbox order by id")
	require.NoError(t, err)
	payloads, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(t, err)
	var events []contracts.OrderCreated
	for _, payload := range payloads {
		m, err := contracts.Decode(contracts.TopicOrders, payload, func(string) string { return "" })
		require.NoError(t, err)
		events = append(events, m.(contracts.OrderCreated))
	}
	return events
}

func TestPlace_AnOrderAndItsEventSayTheSame(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	draft := order.Draft{UserID: "u1", SKU: "burger", Quantity: 2, Note: "kafka test"}
	id, err := store.Place(t.Context(), order.Request{Draft: draft})
	require.NoError(t, err)

	got, err := store.Get(t.Context(), id)
	require.NoError(t, err)
	want := order.Order{ID: 1, Draft: draft, State: order.State{Status: order.Pending}, CreatedAt: got.CreatedAt, UpdatedAt: got.CreatedAt}
	require.Empty(t, gocmp.Diff(want, got))
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	require.Equal(t, time.UTC, got.CreatedAt.Location())

	events := created(t, db)
	require.Len(t, events, 1)
	event := contracts.OrderCreated{Envelope: events[0].Envelope, UserID: "u1", SKU: "burger", Quantity: 2}
	require.Empty(t, gocmp.Diff(event, events[0]))
	require.Equal(t, id, events[0].OrderID)
	require.Equal(t, got.CreatedAt, events[0].Time)

	_, err = store.Get(t.Context(), id+1)
	require.ErrorIs(t, err, order.ErrNotFound)
}

func TestPlaceAll_EachOrderGetsAnIDAndAnEventOfItsOwn(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	placements := make([]order.Request, 500)
	for i := range placements {
		placements[i].Draft = order.Draft{UserID: "u" + strconv.Itoa(i), SKU: "s", Quantity: int32(i + 1)}
	}
	placed, err := store.PlaceAll(t.Context(), placements)
	require.NoError(t, err)
	events := created(t, db)
	for i := range placed {
		id := placed[i].ID
		got, err := store.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, placements[i].Draft, got.Draft)
		require.Equal(t, id, events[i].OrderID)
		require.Equal(t, got.UserID, events[i].UserID)
	}
}

// Neither half of what Place stores is ever there without the other.
func TestPlace_AnOrderThatFailsLeavesNeitherOrderNorEvent(t *testing.T) {
	t.Parallel()
	good := order.Draft{UserID: "u", SKU: "s", Quantity: 1}
	for name, sabotage := range map[string]string{
		"the order": "alter table orders add constraint broken check (false)",
		"the event": "alter table outbox add constraint broken check (false)",
		"the commit": `create function fail() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
		               create constraint trigger fail after insert on outbox deferrable initially deferred for each row execute function fail()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, store := start(t)
			_, err := db.Pool.Exec(t.Context(), sabotage)
			require.NoError(t, err)
			_, err = store.Place(t.Context(), order.Request{Draft: good})
			require.Error(t, err)
			var n int
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select (select count(*) from orders) + (select count(*) from outbox)").Scan(&n))
			require.Zero(t, n)
		})
	}
}

func TestSchema_RefusesABadRow(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	for name, values := range map[string]string{
		"no user":                       `'', 's', 1, '', 'PENDING', null`,
		"user too long":                 `repeat('ü', 65), 's', 1, '', 'PENDING', null`,
		"no sku":                        `'u', '', 1, '', 'PENDING', null`,
		"quantity zero":                 `'u', 's', 0, '', 'PENDING', null`,
		"quantity too large":            `'u', 's', 1000001, '', 'PENDING', null`,
		"note too long":                 `'u', 's', 1, repeat('x', 1001), 'PENDING', null`,
		"unknown status":                `'u', 's', 1, '', 'SHIPPED', null`,
		"cancelled without a reason":    `'u', 's', 1, '', 'CANCELLED', null`,
		"cancelled for an empty reason": `'u', 's', 1, '', 'CANCELLED', ''`,
		"pending with a reason":         `'u', 's', 1, '', 'PENDING', 'x'`,
	} {
		_, err := db.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity, note, status, reason) values ("+values+")")
		require.ErrorContains(t, err, "violates check constraint", name)
	}
}

func send(t *testing.T, tx pgx.Tx, queue func(*pgx.Batch)) error {
	t.Helper()
	var b pgx.Batch
	queue(&b)
	return tx.SendBatch(t.Context(), &b).Close()
}

func TestSave_AChangeFromAnotherStateIsAConflict(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	for range 2 {
		_, err := store.Place(t.Context(), order.Request{Draft: order.Draft{UserID: "u", SKU: "s", Quantity: 1}})
		require.NoError(t, err)
	}
	pending, confirmed := order.State{Status: order.Pending}, order.State{Status: order.Confirmed}
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		return send(t, tx, func(b *pgx.Batch) {
			store.Save(b, order.Decision{Changes: []order.Change{
				{OrderID: 1, From: pending, To: confirmed},
				{OrderID: 2, From: confirmed, To: pending},
			}})
		})
	})
	require.ErrorContains(t, err, "another transaction was faster")
	require.True(t, chassis.Unavailable(err), "it is worth another try")
	got, err := store.Get(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, order.Pending, got.Status)
}

// A client's request to cancel waits for a command that is being applied, and then sees what became
// of the order: it never tells the saga of a request that came after the end.
func TestRequestCancel_WaitsForACommandThatIsBeingApplied(t *testing.T) {
	t.Parallel()
	db, store := start(t)
	id, err := store.Place(t.Context(), order.Request{Draft: order.Draft{UserID: "u", SKU: "s", Quantity: 1}})
	require.NoError(t, err)

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	var known *order.Known
	require.NoError(t, send(t, tx, func(b *pgx.Batch) {
		known = store.Load(b, []order.Command{{OrderID: id}, {OrderID: id}, {OrderID: 99}})
	}))
	require.Len(t, known.Orders, 1)
	require.Equal(t, order.State{Status: order.Pending}, known.Orders[id].State)

	var wg sync.WaitGroup
	var found order.Order
	var failed error
	wg.Go(func() {
		found, failed = store.RequestCancel(t.Context(), order.Cancellation{OrderID: id, Reason: "why"})
	})
	awaitLockWaiter(t, db)
	sold := order.State{Status: order.Cancelled, Reason: "sold out"}
	require.NoError(t, send(t, tx, func(b *pgx.Batch) {
		store.Save(b, order.Decision{Changes: []order.Change{{OrderID: id, From: known.Orders[id].State, To: sold}}})
	}))
	require.NoError(t, tx.Commit(t.Context()))
	wg.Wait()
	require.NoError(t, failed)
	require.Equal(t, sold, found.State)
	require.Len(t, created(t, db), 1, "no OrderCancelRequested beside the OrderCreated")
}

func awaitLockWaiter(t *testing.T, db *pgtest.Database) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for waiting := 0; waiting == 0; {
		require.NoError(t, db.Pool.QueryRow(ctx, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&waiting))
	}
}
