package stock_test

import (
	"fmt"
	"maps"
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
			n.left[asked.command.SKU] += int64(asked.command.Quantity)
		}
		return stock.Released, ""
	case asked == nil && released:
		return stock.Rejected, "released before it was reserved"
	case asked != nil && asked.state == stock.Reserved && released:
		return stock.Rejected, "already released"
	case asked != nil:
		return asked.state, asked.reason
	}
	left, exists := n.left[c.SKU]
	if !exists {
		return stock.Rejected, fmt.Sprintf("unknown sku %q", c.SKU)
	}
	if left < int64(c.Quantity) {
		return stock.Rejected, fmt.Sprintf("insufficient stock: %d available, %d requested", left, c.Quantity)
	}
	n.left[c.SKU] -= int64(c.Quantity)
	return stock.Reserved, ""
}

var anyCommand = rapid.Custom(func(t *rapid.T) stock.Command {
	order := rapid.Int64Range(1, 6).Draw(t, "order")
	if rapid.IntRange(0, 2).Draw(t, "release") == 0 {
		return release(order)
	}
	sku := rapid.SampledFrom([]string{"a", "b", "unknown"}).Draw(t, "sku")
	return reserve(order, sku, rapid.Int32Range(1, 5).Draw(t, "quantity"))
})

// However commands are cut into batches, each is answered as if it had come alone, and after each
// batch every item is either on hand or held by exactly one live reservation.
func TestDecide_BatchesAnswerAsIfCommandsCameAloneAndConserveStock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		received := map[string]int64{
			"a": rapid.Int64Range(0, 12).Draw(t, "a"),
			"b": rapid.Int64Range(0, 12).Draw(t, "b"),
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
				if r.State == stock.Reserved {
					held[r.SKU] += int64(r.Quantity)
				}
			}
			for sku := range received {
				require.Equal(t, received[sku], db.onHand[sku]+held[sku], "sku %s", sku)
			}
		}
	})
}
