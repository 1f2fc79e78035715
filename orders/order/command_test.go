package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/orders/order"
)

var (
	pending   = order.State{Status: order.Pending}
	confirmed = order.State{Status: order.Confirmed}
	cancelled = order.State{Status: order.Cancelled, Reason: "first"}
	confirm   = order.Command{OrderID: 1, Action: order.Confirm}
	cancel    = order.Command{OrderID: 1, Action: order.Cancel, Reason: "second"}
)

func TestApply_EveryCommandInEveryStateDoesWhatTheTableSays(t *testing.T) {
	t.Parallel()
	refused := func(s order.State) order.State { s.CancelRefused = "too late"; return s }
	refuse := order.Command{OrderID: 1, Action: order.Refuse, Reason: "too late"}
	tests := []struct {
		name    string
		state   order.State
		command order.Command
		want    order.State
		outcome order.Outcome
	}{
		{"pending is confirmed", pending, confirm, confirmed, order.Changed},
		{"pending is cancelled for the reason given", pending, cancel, order.State{Status: order.Cancelled, Reason: "second"}, order.Changed},
		{"confirmed stays so", confirmed, confirm, confirmed, order.Repeated},
		{"confirmed is taken back", confirmed, cancel, order.State{Status: order.Cancelled, Reason: "second"}, order.Changed},
		{"cancelled keeps its first reason", cancelled, cancel, cancelled, order.Repeated},
		{"cancelled is final", cancelled, confirm, cancelled, order.Contradicted},
		{"a pending order keeps why it is not cancelled", pending, refuse, refused(pending), order.Changed},
		{"a confirmed order keeps why it is not cancelled", confirmed, refuse, refused(confirmed), order.Changed},
		{"a cancelled order is cancelled", cancelled, refuse, cancelled, order.Contradicted},
		{"the first refusal is kept", refused(confirmed), order.Command{OrderID: 1, Action: order.Refuse, Reason: "again"}, refused(confirmed), order.Repeated},
		{"a refusal outlives the confirmation", refused(pending), confirm, refused(confirmed), order.Changed},
		{"a cancellation makes a refusal void", refused(confirmed), cancel, order.State{Status: order.Cancelled, Reason: "second"}, order.Changed},
	}
	require.Len(t, tests, 3*3+3, "each of three states, each of three verbs, and what becomes of a refusal")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, outcome := tt.state.Apply(tt.command)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.outcome, outcome)
		})
	}
}

func TestApply_ACommandGivenTwiceIsTheSameAsOnce(t *testing.T) {
	t.Parallel()
	for _, state := range []order.State{pending, confirmed, cancelled} {
		for _, command := range []order.Command{confirm, cancel} {
			once, _ := state.Apply(command)
			twice, outcome := once.Apply(command)
			require.Equal(t, once, twice)
			require.NotEqual(t, order.Changed, outcome)
		}
	}
}
