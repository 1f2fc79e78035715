package stock

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Action is what a command asks for.
type Action string

// The actions.
const (
	Reserve Action = "reserve"
	Release Action = "release"
)

// Command asks to reserve items for an order, or to release what the order has, if anything.
type Command struct {
	Action  Action
	OrderID int64
	// Lines is what a Reserve asks for, one line per sku: all of them or none are reserved. See
	// [CheckLines].
	Lines []Line
}

// Reply is the answer to one command.
type Reply struct {
	State  State  // Reserved or Rejected to a Reserve, Released to a Release
	Reason string // why Rejected
	// Outcome says what the command changed.
	Outcome Outcome
}

// Outcome says what a command changed.
type Outcome string

// The outcomes.
const (
	// Decided: it was the first to settle something for its order.
	Decided Outcome = "decided"
	// Repeated: it was settled before, and answered as before.
	Repeated Outcome = "repeated"
	// Contradicted: it asks for other items than its order did at first; answered as at first.
	Contradicted Outcome = "contradicted"
)

// The reasons of a rejection that do not depend on the stock.
const (
	reasonReleasedFirst = "released before it was reserved"
	reasonReleased      = "already released"
)

// Known is what has to be known to decide about commands; see [Decide].
type Known struct {
	// OnHand has the skus that exist, of those that the commands or the reservations name.
	OnHand map[string]int64
	// Reservations has those of the commands' orders.
	Reservations []Reservation
}

// Since returns a function that says when the reservation of a reply's order came to be as it is:
// now, if one of the commands that are decided at that time made it so.
func (k *Known) Since(now time.Time) func(r Reply, order int64) time.Time {
	since := make(map[int64]time.Time, len(k.Reservations))
	for _, r := range k.Reservations {
		since[r.OrderID] = r.UpdatedAt
	}
	return func(r Reply, order int64) time.Time {
		if r.Outcome == Decided {
			since[order] = now
		}
		return since[order]
	}
}

// Executed is what came of a command.
type Executed struct {
	Reply
	Since time.Time // since when the order's reservation is as the reply says
}

// Decision is what a batch of commands changes, and the replies.
type Decision struct {
	Replies  []Reply       // one per command, in their order
	Moves    []Move        // by sku
	Added    []Reservation // new ones, by order
	Released []int64       // orders whose known reservation was live and is no more, ascending
}

// Move changes what is on hand of a sku.
type Move struct {
	SKU   string
	Delta int64 // not 0; negative where items are reserved
}

// Decide applies the commands one after the other: first come, first served, and a small order may
// still fit after a larger one was rejected. However many commands name a sku, there is one Move of
// it. known is not changed.
func Decide(known Known, commands []Command) Decision {
	l := ledger{onHand: make(map[string]int64, len(known.OnHand)), orders: make(map[int64]Reservation, len(commands))}
	maps.Copy(l.onHand, known.OnHand)
	for _, r := range known.Reservations {
		l.orders[r.OrderID] = r
	}
	before := maps.Clone(l.orders)

	var d Decision
	for _, c := range commands {
		d.Replies = append(d.Replies, l.apply(c))
	}
	for sku, left := range l.onHand {
		if left != known.OnHand[sku] {
			d.Moves = append(d.Moves, Move{sku, left - known.OnHand[sku]})
		}
	}
	for order, r := range l.orders {
		switch was, existed := before[order]; {
		case !existed:
			d.Added = append(d.Added, r)
		case was.State != r.State:
			d.Released = append(d.Released, order)
		}
	}
	slices.SortFunc(d.Moves, func(a, b Move) int { return cmp.Compare(a.SKU, b.SKU) })
	slices.SortFunc(d.Added, func(a, b Reservation) int { return cmp.Compare(a.OrderID, b.OrderID) })
	slices.Sort(d.Released)
	return d
}

// ledger is the state between two commands of a batch.
type ledger struct {
	onHand map[string]int64
	orders map[int64]Reservation
}

func (l *ledger) apply(c Command) Reply {
	if c.Action == Release {
		return l.release(c)
	}
	if r, settled := l.orders[c.OrderID]; settled {
		return r.again(c)
	}
	r := Reservation{OrderID: c.OrderID, Lines: c.Lines, State: Reserved}
	if short := shortages(l.onHand, c.Lines); len(short) > 0 {
		r.State, r.Reason = Rejected, rejection(len(c.Lines), short)
	} else {
		for _, line := range c.Lines {
			l.onHand[line.SKU] -= int64(line.Quantity)
		}
	}
	l.orders[c.OrderID] = r
	return Reply{r.State, r.Reason, Decided}
}

// again answers a Reserve of an order that is settled.
func (r Reservation) again(c Command) Reply {
	outcome := Repeated
	switch {
	case len(r.Lines) == 0:
		return Reply{Rejected, reasonReleasedFirst, outcome}
	case !sameLines(r.Lines, c.Lines):
		outcome = Contradicted
	}
	if r.State == Released {
		return Reply{Rejected, reasonReleased, outcome}
	}
	return Reply{r.State, r.Reason, outcome}
}

func (l *ledger) release(c Command) Reply {
	r, settled := l.orders[c.OrderID]
	switch {
	case !settled:
		l.orders[c.OrderID] = Reservation{OrderID: c.OrderID, State: Released}
		return Reply{Released, "", Decided}
	case r.State != Reserved:
		return Reply{Released, "", Repeated}
	}
	for _, line := range r.Lines {
		l.onHand[line.SKU] += int64(line.Quantity)
	}
	r.State = Released
	l.orders[c.OrderID] = r
	return Reply{Released, "", Decided}
}
