package main

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/stack"
	"waybill.example/drills/bench/internal/environment"
	"waybill.example/drills/load"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestAPartThatDoesNotExistIsRefusedWithThoseThatDo(t *testing.T) {
	t.Parallel()
	_, err := choose([]string{"latency", "speed"})
	require.ErrorContains(t, err, `"speed"`)
	require.ErrorContains(t, err, "throughput")
	chosen, err := choose([]string{"latency", "limit"})
	require.NoError(t, err)
	require.Equal(t, "limit", chosen[0].name, "in the order in which they use each other")
	require.Len(t, chosen, 2)
}

// seen makes a trial of so many orders a second, of which growing stay behind each second.
func seen(t *testing.T, rate, growing float64) *trial {
	t.Helper()
	sys := &environment.System{Config: environment.Config{Addrs: []string{"127.0.0.1:1"}}}
	generator, err := load.New(ordering(load.Config{Rate: rate}, sys))
	require.NoError(t, err)
	trial := &trial{load: generator}
	for i := range 60 {
		trial.moments = append(trial.moments, moment{
			Sample:   environment.Sample{At: time.Unix(int64(i), 0), Pending: int64(100 + growing*float64(i))},
			accepted: int64(rate * float64(i)),
		})
	}
	return trial
}

func TestATrialIsSteadyUnlessItsBacklogGrows(t *testing.T) {
	t.Parallel()
	require.True(t, seen(t, 1000, 0).steady())
	require.True(t, seen(t, 1000, 5).steady(), "half a percent")
	require.False(t, seen(t, 1000, 50).steady())
	require.False(t, (&trial{}).steady(), "too short to tell")
}

func TestHistoryIsMadeOfCopiesThatTheSchemaAccepts(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]migrations.Set{
		stack.Orders: migrations.Orders, stack.Inventory: migrations.Inventory, stack.Orchestrator: migrations.Orchestrator,
	} {
		db := pgtest.New(t, migrations.Outbox, set)
		_, err := db.Pool.Exec(t.Context(), "insert into inbox (event_id, consumer, topic, partition, \"offset\") select gen_random_uuid(), 'c', 't', 0, n from generate_series(1, 3) n")
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), "insert into outbox (topic, key, type, payload) values ('t', '1', 'T', ''), ('t', '1', 'T', '')")
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), templates[name])
		require.NoError(t, err)

		h := history{template: 1, first: 2, count: 250}
		require.NoError(t, h.fill(t.Context(), db.Pool.Config().ConnString(), historyTables[name]))
		for _, table := range historyTables[name] {
			var before, after int
			where := strings.ReplaceAll(table.rows, "$1", "'1'")
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from "+table.name).Scan(&after))
			require.NoError(t, db.Pool.QueryRow(t.Context(), "select count(*) from "+table.name+" where "+where).Scan(&before))
			require.Positive(t, before, table.name)
			require.GreaterOrEqual(t, after, 251*before, table.name)
		}
		var pending int64
		err = db.Pool.QueryRow(t.Context(), "select count(*) from outbox_status where status = 'pending'").Scan(&pending)
		require.NoError(t, err)
		require.Zero(t, pending, "the relay would send it all again")
	}
}

func TestTheNextOrderComesAfterTheHistory(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	_, err := db.Pool.Exec(t.Context(), templates[stack.Orders])
	require.NoError(t, err)
	require.NoError(t, history{template: 1, first: 2, count: 10}.fill(t.Context(), db.Pool.Config().ConnString(), historyTables[stack.Orders][:1]))
	var id int64
	rows, err := db.Pool.Query(t.Context(), "insert into orders (user_id, sku, quantity) values ('u', 's', 1) returning id")
	require.NoError(t, err)
	id, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	require.EqualValues(t, 12, id)
}

// templates are an order that has ended, in each database.
var templates = map[string]string{
	stack.Orders:    `insert into orders (user_id, sku, quantity, status) values ('u', 's', 1, 'CONFIRMED')`,
	stack.Inventory: `insert into reservations (order_id, sku, quantity, state) values (1, 's', 1, 'RESERVED')`,
	stack.Orchestrator: `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, ended_at, wake_at)
values ('1', 'order', 1, 'COMPLETED', 'CONFIRMED', 1, '[]', '{}', now(), now(), now(), null);
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_type, actor, note, commands)
values ('1', 'order', 1, now(), 'started', '', 'RUNNING', '', 'OrderCreated', '', '', '[]')`,
}
