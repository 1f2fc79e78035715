package contracts_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

func TestEventID_IsAFunctionOfWhatHappened(t *testing.T) {
	t.Parallel()
	seen := map[uuid.UUID]bool{}
	for _, order := range []int64{1, 2, 17, 1 << 40, 1<<48 + 1, math.MaxInt64} {
		for _, kind := range []contracts.Type{contracts.TypeOrderConfirmed, contracts.TypeOrderCancelled} {
			for ordinal := range 3 {
				id := contracts.EventID(order, kind, ordinal)
				require.Equal(t, id, contracts.EventID(order, kind, ordinal))
				require.Equal(t, uuid.Version(8), id.Version())
				require.Equal(t, uuid.RFC4122, id.Variant())
				require.False(t, seen[id])
				seen[id] = true
			}
		}
	}
	// It is stored by others, so it must never change.
	require.Equal(t, "00000000-0011-8197-826e-7e9eec1099e5", contracts.EventID(17, contracts.TypeOrderConfirmed, 0).String())
}

// Tables keyed by the id grow at one end, where new orders are.
func TestEventID_GrowsWithTheOrder(t *testing.T) {
	t.Parallel()
	for order := int64(1); order < 1<<40; order *= 3 {
		before, after := contracts.EventID(order, contracts.TypeOrderConfirmed, 0), contracts.EventID(order+1, contracts.TypeInventoryReserved, 0)
		require.Negative(t, bytes.Compare(before[:], after[:]))
	}
}

func TestContent_LeavesOutTimeAndCauseAndNothingElse(t *testing.T) {
	t.Parallel()
	at := func(when time.Time, reason string) string {
		record, err := contracts.Encode(contracts.OrderCancelled{Envelope: contracts.NewEvent(17, contracts.TypeOrderCancelled, when), Reason: reason})
		require.NoError(t, err)
		return string(contracts.Content(record.Payload))
	}
	now := time.Now()
	require.Equal(t, at(now, "x"), at(now.Add(time.Hour), "x"))
	require.NotEqual(t, at(now, "x"), at(now, "y"))
	require.NotEqual(t, at(now, `"time":"a"`), at(now, `"time":"b"`), "text of a client that looks like the field")
	command := func(cause uuid.UUID, sku string) string {
		record, err := contracts.Encode(contracts.ReserveInventory{
			Envelope: contracts.Envelope{EventID: uuid.UUID{1}, Time: now, OrderID: 17, CausationID: cause}, SKU: sku, Quantity: 1,
		})
		require.NoError(t, err)
		return string(contracts.Content(record.Payload))
	}
	require.Equal(t, command(uuid.UUID{2}, "x"), command(uuid.UUID{3}, "x"))
	require.NotEqual(t, command(uuid.UUID{2}, "x"), command(uuid.UUID{3}, `"causationId":"x"`))
	for _, odd := range []string{"", "{", `"time":"`, `{"time":"`, `{"time":5}`} {
		require.Equal(t, odd, string(contracts.Content([]byte(odd))))
	}
}

func TestRecord_AnAnswerThatIsSentAgainIsTheSameEvent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	record, err := contracts.Encode(contracts.OrderConfirmed{Envelope: contracts.NewEvent(17, contracts.TypeOrderConfirmed, now)})
	require.NoError(t, err)
	one, two := uuid.New(), uuid.New()
	first, again := record.Answer(one, false), record.Answer(two, true)
	require.Equal(t, map[string]string{contracts.HeaderCausationID: one.String()}, first.Headers)
	require.Equal(t, map[string]string{contracts.HeaderInReplyTo: two.String()}, again.Headers)
	first.Headers, again.Headers = nil, nil
	require.Equal(t, first, again)
}

func FuzzContent(f *testing.F) {
	for _, seed := range []string{"", `{"time":"2026-11-23T10:04:05Z","x":"\"time\":\""}`, `"time":""time":"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		content := contracts.Content(payload)
		require.Equal(t, before, payload)
		require.LessOrEqual(t, len(content), len(payload))
	})
}
