package consumer_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/order"
	"waybill.example/sdk/inbox"
)

func TestHandler_EachCommandIsAnsweredWithWhatTheOrderIsNow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		command contracts.Message
		state   order.State
		answer  func(contracts.Message) answer
		outcome string
	}{
		"confirm a pending order":     {confirm(pending), order.State{Status: order.Confirmed}, isConfirmed, "changed"},
		"confirm a confirmed order":   {confirm(confirmed), order.State{Status: order.Confirmed}, isConfirmed, "repeated"},
		"confirm a cancelled order":   {confirm(cancelled), order.State{Status: order.Cancelled, Reason: "sold out"}, because("sold out"), "contradicted"},
		"cancel a pending order":      {cancel(pending, "late"), order.State{Status: order.Cancelled, Reason: "late"}, because("late"), "changed"},
		"take a confirmed order back": {cancel(confirmed, "late"), order.State{Status: order.Cancelled, Reason: "late"}, because("late"), "changed"},
		"cancel a cancelled order":    {cancel(cancelled, "late"), order.State{Status: order.Cancelled, Reason: "sold out"}, because("sold out"), "repeated"},
		"cancel for a quoted reason":  {cancel(pending, `unknown sku "x"`), order.State{Status: order.Cancelled, Reason: `unknown sku "x"`}, because(`unknown sku "x"`), "changed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.process(t, f.deliver(t, tt.command))
			require.Equal(t, tt.state, f.order(t, tt.command.Meta().OrderID))
			require.Empty(t, cmp.Diff([]answer{tt.answer(tt.command)}, f.answers(t)))
			require.InDelta(t, 1, f.commands(tt.outcome), 0)
		})
	}
}

// The commands of one batch act as if each had come alone.
func TestHandler_CommandsForOneOrderInOneBatchActOneAfterTheOther(t *testing.T) {
	t.Parallel()
	confirmIt, cancelIt, again := confirm(pending), cancel(pending, "taken back"), confirm(pending)
	tests := map[string]struct {
		batch   []contracts.Message
		state   order.State
		answers []answer
	}{
		"confirmed, then taken back, then too late": {
			[]contracts.Message{confirmIt, cancelIt, again},
			order.State{Status: order.Cancelled, Reason: "taken back"},
			[]answer{isConfirmed(confirmIt), isCancelled(cancelIt, "taken back"), isCancelled(again, "taken back")},
		},
		"out of order: cancelled, then confirmed": {
			[]contracts.Message{cancelIt, confirmIt},
			order.State{Status: order.Cancelled, Reason: "taken back"},
			[]answer{isCancelled(cancelIt, "taken back"), isCancelled(confirmIt, "taken back")},
		},
		"confirmed twice": {
			[]contracts.Message{confirmIt, again},
			order.State{Status: order.Confirmed},
			[]answer{isConfirmed(confirmIt), isConfirmed(again)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			together, apart := start(t), start(t)
			var batch []inbox.Delivery
			for _, m := range tt.batch {
				batch = append(batch, together.deliver(t, m))
				apart.process(t, apart.deliver(t, m))
			}
			together.process(t, batch...)
			for _, f := range []*fixture{together, apart} {
				require.Equal(t, tt.state, f.order(t, pending))
				require.Empty(t, cmp.Diff(tt.answers, f.answers(t)))
			}
		})
	}
}

func TestHandler_ABatchTouchesTheOrdersItNamesAndNoOther(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, 100)")
	require.NoError(t, err)
	var batch []inbox.Delivery
	for id := int64(103); id > 3; id -= 2 {
		batch = append(batch, f.deliver(t, confirm(id)))
	}
	f.process(t, batch...)
	var n int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select count(*) from orders where id > 3 and (status = 'CONFIRMED') = (id % 2 = 1) and (updated_at > created_at) = (id % 2 = 1)").Scan(&n))
	require.Equal(t, 100, n)
	require.Len(t, f.answers(t), 50)
}

func TestHandler_AnEventHasTheTimeAtWhichTheOrderChanged(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.process(t, f.deliver(t, confirm(pending)))
	o, err := f.store.Get(t.Context(), pending)
	require.NoError(t, err)
	require.Greater(t, o.UpdatedAt, o.CreatedAt)
	var payload string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select convert_from(payload, 'UTF8') from outbox").Scan(&payload))
	require.Contains(t, payload, `"time":"`+o.UpdatedAt.Format(time.RFC3339Nano)+`"`)
}

func TestHandler_AnAnswerStaysInTheTraceOfItsCommand(t *testing.T) {
	t.Parallel()
	f := start(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	good, bad := f.deliver(t, confirm(pending)), f.deliver(t, confirm(pending))
	good.Headers = []inbox.Header{{Key: "traceparent", Value: []byte(trace)}}
	bad.Headers = []inbox.Header{{Key: "traceparent", Value: []byte("\x00\xff")}}
	f.process(t, good, bad)
	rows, err := f.Pool.Query(t.Context(), "select coalesce(headers->>'traceparent', '') from outbox order by id")
	require.NoError(t, err)
	traces, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{trace, ""}, traces)
}

// A client whose cancellation is not granted learns it from its order, and subscribers from one
// event; the status, and when it changed, stay as they are. A cancellation that is carried out
// after all makes it void.
func TestHandler_ARefusalIsKeptWithTheOrderAndToldOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.Pool.Exec(t.Context(), "update orders set updated_at = '2026-01-02' where id = $1", confirmed)
	require.NoError(t, err)
	refuse := func(id int64, reason string) inbox.Delivery {
		return f.deliver(t, contracts.RefuseCancel{Envelope: contracts.NewEnvelope(id, uuid.New(), time.Now()), Reason: reason})
	}
	f.process(t, refuse(confirmed, "completed more than 24h ago"), refuse(confirmed, "again"), refuse(cancelled, "too late"))
	f.process(t, refuse(confirmed, "and again"))
	found, err := f.store.Get(t.Context(), confirmed)
	require.NoError(t, err)
	require.Equal(t, order.State{Status: order.Confirmed, CancelRefused: "completed more than 24h ago"}, found.State)
	require.Equal(t, 2026, found.UpdatedAt.Year())
	require.Equal(t, time.January, found.UpdatedAt.Month())
	require.Empty(t, f.order(t, cancelled).CancelRefused)
	answers := f.answers(t)
	require.Len(t, answers, 1)
	require.Equal(t, "OrderCancelRefused", answers[0].Type)

	f.process(t, f.deliver(t, contracts.CancelOrder{Envelope: contracts.NewEnvelope(confirmed, uuid.New(), time.Now()), Reason: "after all"}))
	require.Equal(t, order.State{Status: order.Cancelled, Reason: "after all"}, f.order(t, confirmed))
}
