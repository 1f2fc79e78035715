package order_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/order"
)

// The digests of stored keys are compared with those of requests that come again, perhaps years of
// versions later: they must not change.
func TestDigest_OfAnOrderOfOneLineIsWhatItAlwaysWas(t *testing.T) {
	t.Parallel()
	draft := order.Draft{UserID: "u1", SKU: "burger", Quantity: 2, Note: "kafka test"}
	digest := draft.Digest()
	require.Equal(t, "069f282ea42fc6be2e52246be6a72b5f8442dabb6547b7a5c482678d4056846e", hex.EncodeToString(digest[:]))
	require.Equal(t, digest, order.Draft{UserID: "u1", Note: "kafka test"}.Of([]order.Line{{SKU: "burger", Quantity: 2}}).Digest())
}

func TestDigest_TellsLinesApart(t *testing.T) {
	t.Parallel()
	seen := map[order.Digest][]order.Line{}
	for _, lines := range [][]order.Line{
		{{SKU: "a", Quantity: 1}, {SKU: "b", Quantity: 2}},
		{{SKU: "b", Quantity: 2}, {SKU: "a", Quantity: 1}},
		{{SKU: "a", Quantity: 1}, {SKU: "b", Quantity: 3}},
		{{SKU: "a", Quantity: 1}, {SKU: "b2", Quantity: 2}},
		{{SKU: "a1", Quantity: 1}, {SKU: "b", Quantity: 2}},
		{{SKU: "a", Quantity: 1}, {SKU: "b", Quantity: 2}, {SKU: "c", Quantity: 3}},
		{{SKU: "a", Quantity: 1}},
	} {
		digest := order.Draft{UserID: "u"}.Of(lines).Digest()
		require.NotContains(t, seen, digest, "%v and %v", lines, seen[digest])
		seen[digest] = lines
	}
}

func TestPlacement_SeveralLinesAreInTheEvent(t *testing.T) {
	t.Parallel()
	lines := []order.Line{{SKU: "a", Quantity: 1}, {SKU: "b", Quantity: 2}}
	p := order.Placement{ID: 7, Request: order.Request{Draft: order.Draft{UserID: "u"}.Of(lines)}}
	event := p.Event(time.Now()).(contracts.OrderCreated)
	require.NoError(t, event.Validate())
	require.Equal(t, lines, event.Items)
	require.Empty(t, event.SKU)
}
