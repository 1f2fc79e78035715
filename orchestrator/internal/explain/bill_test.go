package explain_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// shipped is the evidence of an order that has been through all its hops. Each instant comes from
// the clock of one database or of the relay, by name; skew is how far that one is ahead.
func shipped(skew map[string]time.Duration) explain.Evidence {
	at := func(clock string, ms float64) time.Time {
		return began.Add(time.Duration(ms * float64(time.Millisecond))).Add(skew[clock])
	}
	ids := make([]uuid.UUID, 5)
	for i := range ids {
		ids[i] = uuid.New()
	}
	created, reserve, reserved, confirm, confirmed := ids[0], ids[1], ids[2], ids[3], ids[4]
	message := func(id uuid.UUID, kind, topic, clock string, ms float64, cause *uuid.UUID) explain.Message {
		return explain.Message{EventID: id, Type: kind, Topic: topic, Status: "published", CreatedAt: at(clock, ms), Cause: cause}
	}
	handled := func(id uuid.UUID, topic, clock string, ms float64) explain.Delivery {
		return explain.Delivery{EventID: id, Consumer: clock, Topic: topic, Offset: 1, At: at(clock, ms)}
	}
	e := explain.Evidence{
		ID: "42", Now: began.Add(time.Minute), Saga: &saga.State{Phase: saga.Completed},
		Services: []explain.Service{{Name: "orders", Facts: []explain.Fact{{Kind: explain.Accepted, At: at("orders", 0)}}}},
		Databases: []explain.Database{
			{
				Name: explain.OwnDatabase,
				Sent: []explain.Message{
					message(reserve, "ReserveInventory", "c", explain.OwnDatabase, 12, nil),
					message(confirm, "ConfirmOrder", "d", explain.OwnDatabase, 32, nil),
				},
				Deliveries: []explain.Delivery{
					handled(created, "a", explain.OwnDatabase, 10), handled(reserved, "b", explain.OwnDatabase, 30),
					handled(confirmed, "e", explain.OwnDatabase, 50),
				},
			},
			{
				Name: "orders", Sent: []explain.Message{
					message(created, "OrderCreated", "a", "orders", 1, nil), message(confirmed, "OrderConfirmed", "e", "orders", 42, &confirm),
				},
				Deliveries: []explain.Delivery{handled(confirm, "d", "orders", 40)},
			},
			{
				Name: "inventory", Sent: []explain.Message{message(reserved, "InventoryReserved", "b", "inventory", 22, &reserve)},
				Deliveries: []explain.Delivery{handled(reserve, "c", "inventory", 20)},
			},
		},
		Records: map[explain.Place]explain.Record{},
	}
	reply := contracts.ReplyID(reserved, reserve)
	e.History = []inspect.Line{
		{Kind: "started", CauseID: &created, Commands: []store.Sent{{ID: reserve}}},
		{Kind: "replied", CauseID: &reply, Commands: []store.Sent{{ID: confirm}}},
		{Kind: "replied", CauseID: &confirmed},
	}
	for topic, ms := range map[string]float64{"a": 4, "c": 15, "b": 25, "d": 35, "e": 45} {
		e.Records[explain.Place{Topic: topic, Offset: 1}] = explain.Record{At: at("relay", ms)}
	}
	return e
}

func sum(b *explain.Bill) (legs, parts float64) {
	for _, l := range b.Legs {
		legs += l.MS
	}
	for _, ms := range b.Parts {
		parts += ms
	}
	return legs, parts
}

func TestBill_EveryHopIsDividedIntoWhatItsTimeWasSpentOn(t *testing.T) {
	t.Parallel()
	b := shipped(nil).Bill()
	require.NotNil(t, b)
	var lines []string
	for _, l := range b.Legs {
		lines = append(lines, l.Hop+"; "+l.Part)
	}
	require.Equal(t, []string{
		"order accepted by orders; transaction",
		"OrderCreated: orders → orchestrator; commit and relay", "OrderCreated: orders → orchestrator; broker and queue",
		"orchestrator wrote ReserveInventory; transaction",
		"ReserveInventory: orchestrator → inventory; commit and relay", "ReserveInventory: orchestrator → inventory; broker and queue",
		"inventory wrote InventoryReserved; transaction",
		"InventoryReserved: inventory → orchestrator; commit and relay", "InventoryReserved: inventory → orchestrator; broker and queue",
		"orchestrator wrote ConfirmOrder; transaction",
		"ConfirmOrder: orchestrator → orders; commit and relay", "ConfirmOrder: orchestrator → orders; broker and queue",
		"orders wrote OrderConfirmed; transaction",
		"OrderConfirmed: orders → orchestrator; commit and relay", "OrderConfirmed: orders → orchestrator; broker and queue",
	}, lines)
	require.InDelta(t, 50.0, b.TotalMS, 0.001)
	require.Equal(t, []float64{9, 15, 26}, []float64{b.Parts[explain.PartTransaction], b.Parts[explain.PartRelay], b.Parts[explain.PartBroker]})
}

// Whatever the clocks say, the parts are the whole and none is negative; and a clock that is behind
// is named.
func TestBill_PartsAreTheWholeWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	bent := 0
	for range 500 {
		skew := map[string]time.Duration{}
		for _, clock := range []string{"orders", "inventory", explain.OwnDatabase, "relay"} {
			skew[clock] = time.Duration(random.IntN(60_000)-30_000) * time.Microsecond
		}
		e := shipped(skew)
		for place := range e.Records { // some could not be read
			if random.IntN(3) == 0 {
				delete(e.Records, place)
			}
		}
		b := e.Bill()
		for _, l := range b.Legs {
			require.GreaterOrEqual(t, l.MS, 0.0)
		}
		legs, parts := sum(b)
		require.InDelta(t, b.TotalMS, legs, 0.001)
		require.InDelta(t, b.TotalMS, parts, 0.001)
		require.InDelta(t, b.TotalMS, float64(b.To.Sub(b.From).Microseconds())/1000, 0.001)
		if strings.Contains(strings.Join(b.Notes, "\n"), "behind that of") {
			bent++
		}
	}
	require.Greater(t, bent, 100)
}

func TestBill_SaysWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	e := shipped(nil)
	e.Records = nil
	b := e.Bill()
	require.InDelta(t, 41.0, b.Parts[explain.PartUnsplit], 0.001)
	require.Contains(t, strings.Join(b.Notes, "\n"), "records of some messages could not be read")

	e = shipped(nil)
	for place, r := range e.Records {
		r.Appended = true
		e.Records[place] = r
	}
	b = e.Bill()
	require.Positive(t, b.Parts[explain.PartAppend])
	require.Positive(t, b.Parts[explain.PartQueue])
	require.Zero(t, b.Parts[explain.PartRelay]+b.Parts[explain.PartBroker])
}

// An order that hangs has a bill too: up to what has not ended.
func TestBill_OfAnOpenOrderEndsNow(t *testing.T) {
	t.Parallel()
	e, _ := waiting(t)
	b := e.Bill()
	require.Equal(t, explain.PartOpen, b.Legs[len(b.Legs)-1].Part)
	require.InDelta(t, 41_000.0, b.TotalMS, 0.001)
}

func TestSummarize_IsPercentilesOfEachHop(t *testing.T) {
	t.Parallel()
	var bills []*explain.Bill
	for range 100 {
		bills = append(bills, shipped(nil).Bill())
	}
	l := explain.Summarize(bills)
	require.Equal(t, 100, l.Whole.Count)
	require.InDelta(t, 50.0, l.Whole.P99MS, 0.001)
	require.Len(t, l.Hops, 15)
	require.Equal(t, "order accepted by orders", l.Hops[0].Hop)
	require.Equal(t, explain.PartBroker, l.Parts[0].Part)
	share := 0.0
	for _, p := range l.Parts {
		share += p.Share
	}
	require.InDelta(t, 1.0, share, 0.001)
}

// While the relay does not answer, only the orchestrator's own messages are known. What came before
// them is not charged to it.
func TestBill_LeavesOutWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	e := shipped(nil)
	e.Databases = e.Databases[:1] // the orchestrator's
	b := e.Bill()
	require.Equal(t, e.Databases[0].Sent[1].CreatedAt.UTC(), b.From)
	for _, leg := range b.Legs {
		require.NotContains(t, leg.Hop, "order accepted by")
	}
	require.Contains(t, b.Notes, "What led to ConfirmOrder could not be read: the time before it is left out.")
}
