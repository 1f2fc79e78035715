package stock_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/inventory/stock"
)

// table is a database in memory, which keeps what decisions change.
type table struct {
	onHand map[string]int64
	orders map[int64]stock.Reservation
}

func (b *table) apply(t require.TestingT, commands []stock.Command) []stock.Reply {
	var known []stock.Reservation
	seen := map[int64]bool{}
	for _, c := range commands {
		if r, ok := b.orders[c.OrderID]; ok && !seen[c.OrderID] {
			known = append(known, r)
		}
		seen[c.OrderID] = true
	}
	before := maps.Clone(b.onHand)
	d := stock.Decide(stock.Known{OnHand: b.onHand, Reservations: known}, commands)
	require.Equal(t, before, b.onHand, "Decide changed its input")
	for _, m := range d.Moves {
		require.NotZero(t, m.Delta)
		require.Contains(t, b.onHand, m.SKU)
		b.onHand[m.SKU] += m.Delta
		require.GreaterOrEqual(t, b.onHand[m.SKU], int64(0))
	}
	for _, r := range d.Added {
		require.NotContains(t, b.orders, r.OrderID)
		b.orders[r.OrderID] = r
	}
	for _, order := range d.Released {
		r := b.orders[order]
		require.Equal(t, stock.Reserved, r.State)
		r.State = stock.Released
		b.orders[order] = r
	}
	return d.Replies
}

// naive is the same promises written down the long way: one command at a time, and each answer
// looked up in the list of everything that ever happened.
type naive struct {
	left    map[string]int64
	history []happened
}

type happened struct {
	command stock.Command
	state   stock.State
	reason  string
}

func (n *naive) apply(c stock.Command) (stock.State, string) {
	state, reason := n.decide(c)
	n.history = append(n.history, happened{c, state, reason})
	return state, reason
}

func (n *naive) decide(c stock.Command) (stock.State, string) {
	var asked *happened
	released := false
	for i := range n.history {
		h := &n.history[i]
		switch {
		case h.command.OrderID != c.OrderID:
		case h.command.Action == stock.Reserve && asked == nil:
			asked = h
		case h.command.Action == stock.Release && (asked == nil || asked.state == stock.Reserved):
			released = true
		}
	}
	holds := asked != nil && asked.state == stock.Reserved && !released
	switch {
	case c.Action == stock.Release:
		if holds {
			n.take(asked.command.Lines, -1)
		}
		return stock.Released, ""
	case asked == nil && released:
		return stock.Rejected, "released before it was reserved"
	case asked != nil && asked.state == stock.Reserved && released:
		return stock.Rejected, "already released"
	case asked != nil:
		return asked.state, asked.reason
	}
	if reason := n.missing(c.Lines); reason != "" {
		return stock.Rejected, reason
	}
	n.take(c.Lines, 1)
	return stock.Reserved, ""
}

func (n *naive) take(lines []stock.Line, sign int64) {
	for _, l := range lines {
		n.left[l.SKU] -= sign * int64(l.Quantity)
	}
}

// missing says what of an order cannot be had; "" if all can.
func (n *naive) missing(lines []stock.Line) string {
	var all []string
	for _, l := range lines {
		left, exists := n.left[l.SKU]
		switch one := len(lines) == 1; {
		case left >= int64(l.Quantity):
		case one && !exists:
			return fmt.Sprintf("unknown sku %q", l.SKU)
		case one:
			return fmt.Sprintf("insufficient stock: %d available, %d requested", left, l.Quantity)
		case !exists:
			all = append(all, fmt.Sprintf("unknown sku %q: %d requested", l.SKU, l.Quantity))
		default:
			all = append(all, fmt.Sprintf("insufficient stock of %q: %d available, %d requested", l.SKU, left, l.Quantity))
		}
	}
	return strings.Join(all, "; ")
}

var anyCommand = rapid.Custom(func(t *rapid.T) stock.Command {
	order := rapid.Int64Range(1, 6).Draw(t, "order")
	if rapid.IntRange(0, 2).Draw(t, "release") == 0 {
		return release(order)
	}
	return stock.Command{Action: stock.Reserve, OrderID: order, Lines: anyLines.Draw(t, "lines")}
})

var anyLines = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) stock.Line {
	return stock.Line{
		SKU:      rapid.SampledFrom([]string{"a", "b", "c", "unknown", "unheard of"}).Draw(t, "sku"),
		Quantity: rapid.Int32Range(1, 5).Draw(t, "quantity"),
	}
}), 1, 4, func(l stock.Line) string { return l.SKU })

// However commands are cut into batches, each is answered as if it had come alone, and after each
// batch every item is either on hand or held by exactly one live reservation.
func TestDecide_BatchesAnswerAsIfCommandsCameAloneAndConserveStock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		received := map[string]int64{
			"a": rapid.Int64Range(0, 12).Draw(t, "a"),
			"b": rapid.Int64Range(0, 12).Draw(t, "b"),
			"c": rapid.Int64Range(0, 12).Draw(t, "c"),
		}
		db := table{onHand: maps.Clone(received), orders: map[int64]stock.Reservation{}}
		model := naive{left: maps.Clone(received)}
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(anyCommand, 1, 12), 1, 6).Draw(t, "batches") {
			replies := db.apply(t, batch)
			require.Len(t, replies, len(batch))
			for i, c := range batch {
				state, reason := model.apply(c)
				require.Equal(t, state, replies[i].State, "command %d of %v", i, batch)
				require.Equal(t, reason, replies[i].Reason)
			}
			require.Empty(t, cmp.Diff(model.left, db.onHand))
			held := map[string]int64{}
			for _, r := range db.orders {
				if r.State != stock.Reserved {
					continue
				}
				for _, l := range r.Lines {
					held[l.SKU] += int64(l.Quantity)
				}
			}
			for sku := range received {
				require.Equal(t, received[sku], db.onHand[sku]+held[sku], "sku %s", sku)
			}
		}
	})
}
