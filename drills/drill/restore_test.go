package drill_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/ordersaga"
)

// What the runbook has operators run after a restore of Orders gives each order back once, with the
// very event that its saga began with, and ids go on above.
func TestRecoverOrders_GivesEachLostOrderBackOnceWithItsEvent(t *testing.T) {
	t.Parallel()
	query, err := os.ReadFile("../../docs/recover-orders.sql")
	require.NoError(t, err)
	one := contracts.OrderCreated{SKU: "bürger", Quantity: 3}
	several := contracts.OrderCreated{Items: []contracts.Line{{SKU: `bürger "x" <&>`, Quantity: 3}, {SKU: "a", Quantity: 1}}}
	for event, want := range map[*contracts.OrderCreated]string{
		&one:     "bürger|3",
		&several: `[{"sku": "bürger \"x\" <&>", "quantity": 3}, {"sku": "a", "quantity": 1}]`,
	} {
		recovers(t, string(query), *event, want)
	}
}

// recovers loses an order, and has the query give it back.
func recovers(t *testing.T, query string, event contracts.OrderCreated, want string) {
	t.Helper()
	orders := pgtest.New(t, migrations.Outbox, migrations.Orders).Pool
	sagas := pgtest.New(t, migrations.Outbox, migrations.Orchestrator).Pool

	event.Envelope = contracts.NewEnvelope(17, uuid.Nil, time.Now().Truncate(time.Microsecond))
	event.UserID = `o'brien "x" <&> \`
	record, err := contracts.Encode(event)
	require.NoError(t, err)
	data, err := json.Marshal(ordersaga.Order{OrderID: 17, UserID: event.UserID, SKU: event.SKU, Quantity: event.Quantity, Items: event.Items})
	require.NoError(t, err)
	_, err = sagas.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, deadline)
values ($1, 'order', 1, 'RUNNING', 'RUNNING', 1, '[]', $2::text::jsonb, $3, $3, 'infinity')`,
		record.Key, string(data), event.Time)
	require.NoError(t, err)
	_, err = sagas.Exec(t.Context(), `
insert into saga_transitions (saga_id, definition, seq, at, kind, from_state, to_state, step, cause_id, cause_type, actor, note, commands)
values ($1, 'order', 1, $2, 'started', '', 'RUNNING', '', $3, 'OrderCreated', '', '', '[]')`, record.Key, event.Time, record.EventID)
	require.NoError(t, err)

	for range 2 {
		rows, err := sagas.Query(t.Context(), query)
		require.NoError(t, err)
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		_, err = orders.Exec(t.Context(), strings.Join(statements, "\n"))
		require.NoError(t, err)
	}
	var order, sent string
	require.NoError(t, orders.QueryRow(t.Context(), `
select concat_ws('|', id, user_id, sku, quantity, items, status) from orders`).Scan(&order))
	require.Equal(t, fmt.Sprintf("17|%s|%s|PENDING", event.UserID, want), order)
	var id uuid.UUID
	var payload []byte
	require.NoError(t, orders.QueryRow(t.Context(), `select event_id, concat_ws('|', topic, key, type), payload from outbox`).Scan(&id, &sent, &payload))
	require.Equal(t, record.EventID, id)
	require.Equal(t, "orders.v1|17|OrderCreated", sent)
	require.Equal(t, string(contracts.Content(record.Payload)), string(contracts.Content(payload)))
	var next int64
	require.NoError(t, orders.QueryRow(t.Context(), `select nextval('orders_id_seq')`).Scan(&next))
	require.Equal(t, int64(1018), next)
}

// The page about backups has a query for orders that were given back, and that their clients have
// sent again: it finds the pairs of one user, of one line and of several, and nothing else.
func TestBackups_TheQueryFindsOrdersThatWereSentAgain(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/backups.md")
	require.NoError(t, err)
	query := regexp.MustCompile(`psql "\$ORDERS_DB" -c "(select a\.id as given_back[^"]+)"`).FindSubmatch(page)
	require.NotNil(t, query)
	db := pgtest.New(t, migrations.Outbox, migrations.Orders).Pool
	_, err = db.Exec(t.Context(), `
insert into orders (id, user_id, sku, quantity, items, created_at, updated_at) overriding system value
select id, user_id, sku, quantity, items, at, at
  from (values (1, 'ann', 'burger', 2, null::jsonb, timestamptz '2026-11-26T12:10:00Z'),
               (2, 'ann', 'burger', 2, null, '2026-11-26T12:30:00Z'),                -- sent again
               (3, 'ann', 'burger', 3, null, '2026-11-26T12:30:00Z'),
               (4, 'ann', 'cola', 2, null, '2026-11-26T12:30:00Z'),
               (5, 'ann', 'burger', 2, null, '2026-11-26T14:30:00Z'),                -- hours later
               (6, 'bob', 'burger', 2, null, '2026-11-26T12:30:00Z'),
               (7, 'eve', null, null, '[{"sku":"a","quantity":1},{"sku":"b","quantity":2}]', '2026-11-26T12:10:00Z'),
               (8, 'eve', null, null, '[{"quantity":1,"sku":"a"},{"sku":"b","quantity":2}]', '2026-11-26T12:30:00Z'), -- sent again
               (9, 'eve', null, null, '[{"sku":"a","quantity":1},{"sku":"b","quantity":3}]', '2026-11-26T12:30:00Z')
       ) as o (id, user_id, sku, quantity, items, at)`)
	require.NoError(t, err)
	rows, err := db.Query(t.Context(), string(query[1]))
	require.NoError(t, err)
	type pair struct {
		GivenBack, SentAgain int64
		UserID               string
	}
	pairs, err := pgx.CollectRows(rows, pgx.RowToStructByName[pair])
	require.NoError(t, err)
	require.ElementsMatch(t, []pair{{1, 2, "ann"}, {7, 8, "eve"}}, pairs)
}
