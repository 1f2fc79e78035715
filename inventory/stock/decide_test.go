package stock_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"waybill.example/inventory/stock"
)

func reserve(order int64, sku string, quantity int32) stock.Command {
	return stock.Command{Action: stock.Reserve, OrderID: order, Lines: line(sku, quantity)}
}

func line(sku string, quantity int32) []stock.Line {
	return []stock.Line{{SKU: sku, Quantity: quantity}}
}

func release(order int64) stock.Command {
	return stock.Command{Action: stock.Release, OrderID: order}
}

// say renders replies so that a table of them reads like the conversation.
func say(replies []stock.Reply) []string {
	said := make([]string, len(replies))
	for i, r := range replies {
		said[i] = fmt.Sprintf("%s, %s", r.State, r.Outcome)
		if r.Reason != "" {
			said[i] += ": " + r.Reason
		}
	}
	return said
}

func TestDecide_FirstComeFirstServed(t *testing.T) {
	t.Parallel()
	known := func(state stock.State, reason string) []stock.Reservation {
		return []stock.Reservation{{OrderID: 1, Lines: line("a", 2), State: state, Reason: reason}}
	}
	tests := map[string]struct {
		onHand   map[string]int64
		known    []stock.Reservation
		commands []stock.Command
		want     []string
		moves    []stock.Move
	}{
		"items are set aside": {
			onHand: map[string]int64{"a": 5}, commands: []stock.Command{reserve(1, "a", 2)},
			want: []string{"RESERVED, decided"}, moves: []stock.Move{{SKU: "a", Delta: -2}},
		},
		"stock goes to exactly zero": {
			onHand: map[string]int64{"a": 5}, commands: []stock.Command{reserve(1, "a", 5), reserve(2, "a", 1)},
			want:  []string{"RESERVED, decided", "REJECTED, decided: insufficient stock: 0 available, 1 requested"},
			moves: []stock.Move{{SKU: "a", Delta: -5}},
		},
		"a small order fits after a large one was rejected": {
			onHand: map[string]int64{"a": 3}, commands: []stock.Command{reserve(1, "a", 5), reserve(2, "a", 3)},
			want:  []string{"REJECTED, decided: insufficient stock: 3 available, 5 requested", "RESERVED, decided"},
			moves: []stock.Move{{SKU: "a", Delta: -3}},
		},
		"an unknown sku is named": {
			commands: []stock.Command{reserve(1, "x", 1)},
			want:     []string{`REJECTED, decided: unknown sku "x"`},
		},
		"asking again gets the same answer": {
			onHand: map[string]int64{"a": 5}, commands: []stock.Command{reserve(1, "a", 5), reserve(1, "a", 5)},
			want: []string{"RESERVED, decided", "RESERVED, repeated"}, moves: []stock.Move{{SKU: "a", Delta: -5}},
		},
		"a rejection stands although there is enough by now": {
			onHand: map[string]int64{"a": 9}, known: known(stock.Rejected, "insufficient stock: 1 available, 2 requested"),
			commands: []stock.Command{reserve(1, "a", 2)},
			want:     []string{"REJECTED, repeated: insufficient stock: 1 available, 2 requested"},
		},
		"asking again for something else gets the first answer": {
			onHand: map[string]int64{"a": 9, "b": 9}, known: known(stock.Reserved, ""),
			commands: []stock.Command{reserve(1, "a", 3), reserve(1, "b", 2)},
			want:     []string{"RESERVED, contradicted", "RESERVED, contradicted"},
		},
		"items are given back once": {
			onHand: map[string]int64{"a": 0}, known: known(stock.Reserved, ""),
			commands: []stock.Command{release(1), release(1)},
			want:     []string{"RELEASED, decided", "RELEASED, repeated"}, moves: []stock.Move{{SKU: "a", Delta: 2}},
		},
		"what was given back serves the next order": {
			onHand: map[string]int64{"a": 0}, known: known(stock.Reserved, ""),
			commands: []stock.Command{release(1), reserve(2, "a", 2)},
			want:     []string{"RELEASED, decided", "RESERVED, decided"},
		},
		"a rejected order gives back nothing": {
			onHand: map[string]int64{"a": 1}, known: known(stock.Rejected, "insufficient stock: 1 available, 2 requested"),
			commands: []stock.Command{release(1)},
			want:     []string{"RELEASED, repeated"},
		},
		"an order that gave back before it asked gets nothing": {
			onHand: map[string]int64{"a": 5}, commands: []stock.Command{release(1), reserve(1, "a", 1), release(1)},
			want: []string{
				"RELEASED, decided", "REJECTED, repeated: released before it was reserved", "RELEASED, repeated",
			},
		},
		"an order that gave back gets nothing any more": {
			onHand: map[string]int64{"a": 5}, commands: []stock.Command{reserve(1, "a", 1), release(1), reserve(1, "a", 1)},
			want: []string{"RESERVED, decided", "RELEASED, decided", "REJECTED, repeated: already released"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stock.Decide(stock.Known{OnHand: tt.onHand, Reservations: tt.known}, tt.commands)
			require.Empty(t, cmp.Diff(tt.want, say(got.Replies)))
			require.Empty(t, cmp.Diff(tt.moves, got.Moves, cmpopts.EquateEmpty()))
		})
	}
}

func TestDecide_SaysWhatToSave(t *testing.T) {
	t.Parallel()
	got := stock.Decide(
		stock.Known{OnHand: map[string]int64{"a": 5, "b": 5}, Reservations: []stock.Reservation{
			{OrderID: 9, Lines: line("b", 1), State: stock.Reserved},
			{OrderID: 8, Lines: line("a", 1), State: stock.Reserved},
		}},
		[]stock.Command{
			release(9), reserve(4, "b", 7), reserve(3, "a", 2), release(8), release(3), release(2), reserve(1, "b", 2),
		},
	)
	require.Empty(t, cmp.Diff(stock.Decision{
		Moves: []stock.Move{{SKU: "a", Delta: 1}, {SKU: "b", Delta: -1}},
		Added: []stock.Reservation{
			{OrderID: 1, Lines: line("b", 2), State: stock.Reserved},
			{OrderID: 2, State: stock.Released},
			{OrderID: 3, Lines: line("a", 2), State: stock.Released},
			{OrderID: 4, Lines: line("b", 7), State: stock.Rejected, Reason: "insufficient stock: 6 available, 7 requested"},
		},
		Released: []int64{8, 9},
	}, got, cmpopts.IgnoreFields(stock.Decision{}, "Replies")))
}

func TestCheckSKU_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	long := make([]byte, stock.MaxSKUBytes)
	for i := range long {
		long[i] = 'x'
	}
	for _, sku := range []string{"a", "a b", "größe/7", "🍔", string(long)} {
		require.NoError(t, stock.CheckSKU(sku), sku)
	}
	for sku, want := range map[string]string{
		"":                 "must not be empty",
		string(long) + "x": "must be at most 128 bytes",
		"a\xff":            "must be UTF-8",
		"a\x00":            "must not hold control characters",
		"a\n":              "must not hold control characters",
		"a\u0085":          "must not hold control characters",
		"a\u202eb":         "must not hold control characters",
		"a\u200bb":         "must not hold control characters",
	} {
		require.EqualError(t, stock.CheckSKU(sku), want)
	}
}
