package order_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orders/order"
)

// Commands of one batch see what those before them did; a command that changes nothing is answered
// with the same event again.
func TestDecide_AppliesCommandsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	long, now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC)
	known := order.Known{At: now, Orders: map[int64]order.Current{
		1: {State: pending, Since: long}, 2: {State: confirmed, Since: long}, 3: {State: pending, Since: long},
	}}
	of := func(id int64, c order.Command) order.Command { c.OrderID = id; return c }
	refuse := order.Command{Action: order.Refuse, Reason: "too late"}
	d := order.Decide(known, []order.Command{
		of(2, confirm), of(1, confirm), of(1, confirm), of(9, confirm), of(1, cancel), of(3, refuse), of(3, refuse),
	})

	var outcomes []order.Outcome
	for _, r := range d.Replies {
		outcomes = append(outcomes, r.Outcome)
	}
	require.Equal(t, []order.Outcome{
		order.Repeated, order.Changed, order.Repeated, order.Unknown, order.Changed, order.Changed, order.Repeated,
	}, outcomes)
	require.Equal(t, long, d.Replies[0].Event.(contracts.OrderConfirmed).Time, "nothing changed")
	require.Equal(t, now, d.Replies[1].Event.(contracts.OrderConfirmed).Time)
	require.Equal(t, d.Replies[1].Event, d.Replies[2].Event)
	require.Nil(t, d.Replies[3].Event)
	require.IsType(t, contracts.OrderCancelled{}, d.Replies[4].Event)
	require.IsType(t, contracts.OrderCancelRefused{}, d.Replies[5].Event)
	require.Nil(t, d.Replies[6].Event, "a refusal is published once")
	require.Equal(t, []order.Change{
		{OrderID: 1, From: pending, To: order.State{Status: order.Cancelled, Reason: "second"}},
		{OrderID: 3, From: pending, To: order.State{Status: order.Pending, CancelRefused: "too late"}},
	}, d.Changes)
	require.Equal(t, pending, known.Orders[1].State, "the input is not changed")
}
