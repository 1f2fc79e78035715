package order_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/order"
)

func TestPlace_AnswersEachRequest(t *testing.T) {
	t.Parallel()
	request := func(user, key string, quantity int32) order.Request {
		return order.Request{Draft: order.Draft{UserID: user, SKU: "burger", Quantity: quantity}, Key: key}
	}
	claims := map[order.RequestKey]order.Claim{
		{UserID: "u", Key: "old"}: {Digest: request("u", "old", 1).Digest(), OrderID: 7},
	}
	placed, placements := order.Place([]order.Request{
		request("u", "", 1), request("u", "old", 1), request("u", "old", 2), request("v", "old", 2),
		request("u", "new", 1), request("u", "new", 1), request("u", "new", 2),
	}, []int64{11, 12, 13, 14, 15, 16, 17}, claims)
	require.Equal(t, []order.Placed{
		{ID: 11}, {ID: 7}, {Err: order.ErrKeyReused}, {ID: 14}, {ID: 15}, {ID: 15}, {Err: order.ErrKeyReused},
	}, placed)
	var ids []int64
	for _, p := range placements {
		ids = append(ids, p.ID)
	}
	require.Equal(t, []int64{11, 14, 15}, ids)
	require.Equal(t, int64(15), claims[order.RequestKey{UserID: "u", Key: "new"}].OrderID)
}

func TestPlacement_EventSaysWhatWasOrdered(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := order.Placement{Request: order.Request{Draft: order.Draft{UserID: "u", SKU: "burger", Quantity: 2, Note: "no onions"}}, ID: 7}
	event := p.Event(at).(contracts.OrderCreated)
	require.NoError(t, event.Validate())
	require.Equal(t, int64(7), event.OrderID)
	require.Equal(t, at, event.Time)
	require.Equal(t, []any{"u", "burger", int32(2)}, []any{event.UserID, event.SKU, event.Quantity})
}
