package stock_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
)

// reserveAll asks for several lines.
func reserveAll(order int64, lines ...stock.Line) stock.Command {
	return stock.Command{Action: stock.Reserve, OrderID: order, Lines: lines}
}

func TestDecide_AnOrderOfSeveralLinesIsReservedAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	a, b, c := func(n int32) stock.Line { return stock.Line{SKU: "a", Quantity: n} },
		func(n int32) stock.Line { return stock.Line{SKU: "b", Quantity: n} },
		func(n int32) stock.Line { return stock.Line{SKU: "c", Quantity: n} }
	tests := map[string]struct {
		onHand   map[string]int64
		commands []stock.Command
		want     []string
		moves    []stock.Move
	}{
		"every line is set aside": {
			onHand: map[string]int64{"a": 5, "b": 5}, commands: []stock.Command{reserveAll(1, b(1), a(2))},
			want: []string{"RESERVED, decided"}, moves: []stock.Move{{SKU: "a", Delta: -2}, {SKU: "b", Delta: -1}},
		},
		"each line that cannot be had is named, in the order's order": {
			onHand: map[string]int64{"a": 1, "b": 5}, commands: []stock.Command{reserveAll(1, c(3), b(1), a(2))},
			want: []string{
				`REJECTED, decided: unknown sku "c": 3 requested; insufficient stock of "a": 1 available, 2 requested`,
			},
		},
		"what a rejected order did not get is there for the next": {
			onHand: map[string]int64{"a": 1, "b": 2}, commands: []stock.Command{
				reserveAll(1, a(1), b(3)), reserveAll(2, a(1), b(2)), reserveAll(3, b(1), a(1)),
			},
			want: []string{
				`REJECTED, decided: insufficient stock of "b": 2 available, 3 requested`, "RESERVED, decided",
				`REJECTED, decided: insufficient stock of "b": 0 available, 1 requested; insufficient stock of "a": 0 available, 1 requested`,
			},
			moves: []stock.Move{{SKU: "a", Delta: -1}, {SKU: "b", Delta: -2}},
		},
		"a release gives every line back, once": {
			onHand:   map[string]int64{"a": 5, "b": 5},
			commands: []stock.Command{reserveAll(1, a(2), b(1)), reserveAll(2, a(1), c(1)), release(1), release(1), release(2)},
			want: []string{
				"RESERVED, decided", `REJECTED, decided: unknown sku "c": 1 requested`,
				"RELEASED, decided", "RELEASED, repeated", "RELEASED, repeated",
			},
		},
		"the order of the lines makes no other order": {
			onHand:   map[string]int64{"a": 5, "b": 5},
			commands: []stock.Command{reserveAll(1, a(2), b(1)), reserveAll(1, b(1), a(2)), reserveAll(1, a(2)), reserveAll(1, b(2), a(1))},
			want:     []string{"RESERVED, decided", "RESERVED, repeated", "RESERVED, contradicted", "RESERVED, contradicted"},
			moves:    []stock.Move{{SKU: "a", Delta: -2}, {SKU: "b", Delta: -1}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stock.Decide(stock.Known{OnHand: tt.onHand}, tt.commands)
			require.Empty(t, cmp.Diff(tt.want, say(got.Replies)))
			require.Empty(t, cmp.Diff(tt.moves, got.Moves, cmpopts.EquateEmpty()))
		})
	}
}

// A reason that has no room for all says how many more there are, and never ends within a line.
func TestDecide_AReasonFitsAMessageHoweverManyLinesAreMissing(t *testing.T) {
	t.Parallel()
	for _, wide := range []string{"x", "ü", "\ue000", "\U000F0000", `"`} {
		for n := 2; n <= contracts.MaxLines; n++ {
			lines := make([]stock.Line, n)
			for i := range lines {
				lines[i] = stock.Line{SKU: fmt.Sprintf("%02d", i), Quantity: contracts.MaxQuantity}
				lines[i].SKU += strings.Repeat(wide, (stock.MaxSKUBytes-2)/len(wide))
			}
			require.NoError(t, stock.CheckLines(lines))
			reason := stock.Decide(stock.Known{}, []stock.Command{reserveAll(1, lines...)}).Replies[0].Reason
			require.LessOrEqual(t, utf8.RuneCountInString(reason), contracts.MaxReasonRunes)
			require.Equal(t, reason, contracts.Reason(reason), "it is a reason that a message carries")
			named := strings.Count(reason, "unknown sku")
			require.GreaterOrEqual(t, named, 2)
			if left := n - named; left > 0 {
				require.True(t, strings.HasSuffix(reason, fmt.Sprintf(" requested; and %d more", left)), reason)
			} else {
				require.True(t, strings.HasSuffix(reason, " requested"), reason)
			}
		}
	}
}

func TestCheckLines_NamesTheLineAtFault(t *testing.T) {
	t.Parallel()
	good := stock.Line{SKU: "a", Quantity: 1}
	require.NoError(t, stock.CheckLines([]stock.Line{good}))
	for want, lines := range map[string][]stock.Line{
		`field "items" is missing`:                                           nil,
		`field "items" must have at most 100 lines`:                          make([]stock.Line, 101),
		`field "items[1].sku" is missing`:                                    {good, {Quantity: 1}},
		`field "items[0].quantity" is missing`:                               {{SKU: "b"}, good},
		`field "items[1].quantity" must be from 1 to 1000000`:                {good, {SKU: "b", Quantity: -1}},
		`field "items[2].sku" must not be that of items[0] again`:            {good, {SKU: "b", Quantity: 1}, {SKU: "a", Quantity: 2}},
		`field "items[0].sku" must not contain the control character U+0085`: {{SKU: "a\u0085", Quantity: 1}},
	} {
		require.EqualError(t, stock.CheckLines(lines), want)
	}
}
