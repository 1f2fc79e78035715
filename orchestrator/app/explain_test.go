package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/outbox"
)

type explanation struct {
	State, Summary string
	Obstacles      []string
	Timeline       []struct{ Source, Kind, What string }
	Sources        []struct{ Name, Error string }
}

// The story of an order is told from the databases of all services; one that
// cannot be reached is named, and the others still answer.
func TestExplainTellsOneStoryOverAllDatabases(t *testing.T) {
	t.Parallel()
	orders := pgtest.New(t, migrations.Outbox, migrations.Orders)
	s := startSystem(t, func(c *settings) {
		c.ExplainDatabases = []string{"orders=" + orders.URL, "inventory=postgres://nobody@127.0.0.1:1/nothing"}
	})
	require.Equal(t, http.StatusNotFound, s.get("/v1/sagas/1/explain", nil))

	order := created(1)
	record, err := contracts.Encode(order)
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), orders.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "insert into orders (user_id, sku, quantity) values ('u1', 'burger', 2)"); err != nil {
			return err
		}
		return outbox.Append(t.Context(), tx, outbox.Message(record))
	}))
	var e explanation
	require.Equal(t, http.StatusOK, s.get("/v1/sagas/1/explain", &e))
	require.Equal(t, "NOT_STARTED", e.State)
	require.Contains(t, e.Obstacles[0], "OrderCreated is outbox row 1 of orders, not published")

	s.send(order)
	s.command(1, contracts.TypeReserveInventory, 1)
	e = explanation{}
	require.Equal(t, http.StatusOK, s.get("/v1/sagas/1/explain", &e))
	require.Equal(t, "RUNNING", e.State)
	require.Contains(t, e.Summary, "Waits for InventoryReserved or InventoryRejected")
	require.Contains(t, strings.Join(e.Obstacles, " "), "no relay has taken on orchestrator")
	var story []string
	for _, m := range e.Timeline {
		story = append(story, fmt.Sprintf("%s %s: %s", m.Source, m.Kind, m.What))
	}
	told := strings.Join(story, "\n")
	for _, want := range []string{
		"orders accepted: order accepted over HTTP: 2 × burger for u1",
		"orders sent: OrderCreated committed as outbox row 1 for orders.v1, pending",
		"orchestrator handled: OrderCreated handled by orchestrator from orders.v1/",
		"orchestrator decided: saga started on OrderCreated: RUNNING",
		"orchestrator sent: ReserveInventory committed as outbox row 1",
	} {
		require.Contains(t, told, want)
	}
	require.Equal(t, "inventory", e.Sources[2].Name)
	require.NotEmpty(t, e.Sources[2].Error)
	require.NotContains(t, e.Sources[2].Error, "nobody", "the address of a database is nobody's business")
}

// Anybody may ask for an explanation. A function that was planted in the schema of another service's
// database, and fits better than Postgres' own, must not run for it.
func TestExplainRunsNothingThatWasPlanted(t *testing.T) {
	t.Parallel()
	orders := pgtest.New(t, migrations.Outbox, migrations.Orders)
	s := startSystem(t, func(c *settings) { c.ExplainDatabases = []string{"orders=" + orders.URL} })
	_, err := orders.Pool.Exec(t.Context(), `
insert into orders (user_id, sku, quantity) values ('u1', 'burger', 2);
create sequence calls;
create function public.format(text, int, text, text) returns text language plpgsql as
	$$ begin perform nextval('public.calls'); return 'planted'; end $$;
create function public.contains(int8multirange, bigint) returns boolean language plpgsql as
	$$ begin perform nextval('public.calls'); return false; end $$;
create operator public.@> (leftarg = int8multirange, rightarg = bigint, function = public.contains)`)
	require.NoError(t, err)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	var e explanation
	require.Equal(t, http.StatusOK, s.get("/v1/sagas/1/explain", &e))
	require.Equal(t, "order accepted over HTTP: 2 × burger for u1", e.Timeline[0].What)
	var called bool
	require.NoError(t, orders.Pool.QueryRow(t.Context(), "select is_called from calls").Scan(&called))
	require.False(t, called)
}
