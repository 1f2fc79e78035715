package ordersaga_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// flow is one order's saga, told in the messages of the contracts.
type flow struct {
	t     *testing.T
	def   *saga.Definition
	state saga.State
	sent  []contracts.Message
}

func (f *flow) hears(m contracts.Message, trace string) {
	f.t.Helper()
	r, err := contracts.Encode(m)
	require.NoError(f.t, err)
	decoded, err := contracts.Decode(r.Topic, r.Payload, func(name string) string { return r.Headers[name] })
	require.NoError(f.t, err)
	f.apply(ordersaga.Message(decoded, r.Payload, trace))
}

func (f *flow) apply(in saga.Input) {
	f.t.Helper()
	d, err := f.def.Apply(f.state, in, now)
	require.NoError(f.t, err)
	f.state = d.State
	for _, c := range d.Commands {
		r, err := ordersaga.Encode(c)
		require.NoError(f.t, err, "each command is a valid message of the contracts")
		require.Equal(f.t, c.ID, r.EventID)
		require.Equal(f.t, parent, r.Headers[contracts.HeaderTraceParent], "the trace goes on")
		m, err := contracts.Decode(r.Topic, r.Payload, func(string) string { return "" })
		require.NoError(f.t, err)
		f.sent = append(f.sent, m)
	}
}

func (f *flow) last() contracts.Message { return f.sent[len(f.sent)-1] }

func start(t *testing.T) *flow {
	t.Helper()
	def, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	f := &flow{t: t, def: def}
	f.hears(contracts.OrderCreated{Envelope: contracts.NewEnvelope(42, uuid.Nil, now), UserID: "u1", SKU: "burger", Quantity: 2}, parent)
	return f
}

func reply(f *flow) contracts.Envelope {
	return contracts.NewEnvelope(42, f.last().Meta().EventID, now)
}

func TestTheOrderFlowSpeaksTheContracts(t *testing.T) {
	t.Parallel()
	f := start(t)
	reserve, ok := f.last().(contracts.ReserveInventory)
	require.True(t, ok)
	require.Empty(t, cmp.Diff([]any{int64(42), "burger", int32(2)}, []any{reserve.OrderID, reserve.SKU, reserve.Quantity}))
	f.hears(contracts.InventoryReserved{Envelope: reply(f), Reserved: true}, parent)
	require.IsType(t, contracts.ConfirmOrder{}, f.last())
	f.hears(contracts.OrderConfirmed{Envelope: reply(f)}, parent)
	require.Equal(t, "CONFIRMED", f.def.StateName(f.state.Phase))

	f.hears(contracts.OrderCancelRequested{Envelope: contracts.NewEnvelope(42, uuid.Nil, now), Reason: "changed my mind"}, "not a trace\x00")
	require.IsType(t, contracts.ReleaseInventory{}, f.last())
	f.hears(contracts.InventoryReleased{Envelope: reply(f)}, parent)
	cancel, ok := f.last().(contracts.CancelOrder)
	require.True(t, ok)
	require.Equal(t, "changed my mind", cancel.Reason)
	f.hears(contracts.OrderCancelled{Envelope: reply(f)}, parent)
	require.Equal(t, "CANCELLED", f.def.StateName(f.state.Phase))
}

// The order's lines are in the saga's data, so that Inventory is asked again for the same.
func TestOrder_SeveralLinesAreReservedTogether(t *testing.T) {
	t.Parallel()
	lines := []contracts.Line{{SKU: "burger", Quantity: 2}, {SKU: "cola", Quantity: 1}}
	def, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	f := &flow{t: t, def: def}
	f.hears(contracts.OrderCreated{Envelope: contracts.NewEnvelope(42, uuid.Nil, now), UserID: "u1", Items: lines}, parent)
	require.Equal(t, lines, f.last().(contracts.ReserveInventory).Items)
	due, _ := f.state.Deadline()
	d, err := f.def.Apply(f.state, saga.Due{}, due)
	require.NoError(t, err)
	require.Equal(t, lines, d.Commands[0].Body.(contracts.ReserveInventory).Items, "asked again")
}

// Sagas of one line are the same, byte for byte, as before there were items: an orchestrator of the
// version before goes on with them, and this one goes on with those that it has begun.
func TestOrder_TheDataOfAnOrderOfOneLineIsAsItWas(t *testing.T) {
	t.Parallel()
	f := start(t)
	const before = `{"orderId":42,"userId":"u1","sku":"burger","quantity":2}`
	require.JSONEq(t, before, string(f.state.Data))
	f.state.Data = []byte(before)
	due, _ := f.state.Deadline()
	d, err := f.def.Apply(f.state, saga.Due{}, due)
	require.NoError(t, err)
	again, ok := d.Commands[0].Body.(contracts.ReserveInventory)
	require.True(t, ok)
	require.Equal(t, []contracts.Line{{SKU: "burger", Quantity: 2}}, again.Lines())
}

func TestEveryWayToCancelGivesTheClientAReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		turn func(f *flow)
		want string
	}{
		"rejected": {func(f *flow) {
			f.hears(contracts.InventoryRejected{Envelope: reply(f), Reason: `unknown sku "burger"`}, parent)
		}, `unknown sku "burger"`},
		"rejected without a reason": {func(f *flow) {
			f.hears(contracts.InventoryRejected{Envelope: reply(f)}, parent)
		}, "reserve was refused"},
		"silent": {func(f *flow) {
			for range ordersaga.DefaultTiming().ReserveAttempts {
				due, _ := f.state.Deadline()
				d, err := f.def.Apply(f.state, saga.Due{}, due)
				require.NoError(f.t, err)
				f.state = d.State
				for _, c := range d.Commands {
					f.sent = append(f.sent, c.Body.(contracts.Message))
				}
			}
		}, "inventory did not answer"},
		"an operator": {func(f *flow) {
			f.apply(saga.Cancel{Operator: saga.Operator{Actor: "ann", Reason: "the warehouse burnt down"}})
			f.hears(contracts.InventoryReserved{Envelope: reply(f), Reserved: true}, parent)
			f.hears(contracts.InventoryReleased{Envelope: reply(f)}, parent)
		}, "the warehouse burnt down"},
		"a client who says no reason": {func(f *flow) {
			f.hears(contracts.OrderCancelRequested{Envelope: contracts.NewEnvelope(42, uuid.Nil, now)}, parent)
			f.hears(contracts.InventoryRejected{Envelope: reply(f), Reason: "none left"}, parent)
		}, "cancellation was requested"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			c.turn(f)
			cancel, ok := f.last().(contracts.CancelOrder)
			require.True(t, ok, "%T", f.last())
			require.Equal(t, c.want, strings.TrimSpace(cancel.Reason))
		})
	}
}

// An event keeps its id however often it is sent; a command that is asked again gets a reply that
// the saga has not seen all the same.
func TestAnswering_AnEventThatIsSentAgainIsANewReply(t *testing.T) {
	t.Parallel()
	first, second := uuid.New(), uuid.New()
	event := saga.Message{ID: uuid.New(), Type: "InventoryReleased", Key: "7", CausationID: first}
	for _, same := range []string{"", "garbage", first.String(), uuid.Nil.String()} {
		require.Equal(t, event, ordersaga.Answering(event, same))
	}
	again := ordersaga.Answering(event, second.String())
	require.Equal(t, second, again.CausationID)
	require.NotEqual(t, event.ID, again.ID)
	require.Equal(t, uuid.Version(8), again.ID.Version())
	require.Equal(t, again, ordersaga.Answering(event, second.String()), "the same copy has the same id")
}

// Whatever a reason is made of, the engine makes it one that the contracts let travel.
func TestText_IsOneThatTheContractsAccept(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := range rune(0x30000) {
		all.WriteRune(r)
		if all.Len() > 500 {
			if reason := saga.Text(all.String()); reason != "" {
				_, err := contracts.Encode(contracts.CancelOrder{Envelope: contracts.NewEnvelope(1, uuid.Nil, now), Reason: reason})
				require.NoError(t, err)
			}
			all.Reset()
		}
	}
}

func TestDefinition_SendsEachCommandWhereTheContractsSay(t *testing.T) {
	t.Parallel()
	def, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	require.Len(t, def.Topics(), 5)
	for command, topic := range def.Topics() {
		own, known := contracts.TopicOf(contracts.Type(command))
		require.True(t, known, command)
		require.Equal(t, own, topic, command)
	}
}
