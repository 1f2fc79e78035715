package order

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"waybill.example/contracts"
)

// Known is what has to be known to decide about commands; see [Decide].
type Known struct {
	// Orders has those of the commands' orders that exist.
	Orders map[int64]Current
	// At is the time of the decision, which changes are stamped with.
	At time.Time
}

// Current is the state of an order, and since when its status is what it is.
type Current struct {
	State
	Since time.Time
}

// Reply is what became of one command.
type Reply struct {
	Outcome Outcome
	Status  Status            // of the order afterwards; "" where there is none
	Event   contracts.Message // the answer; nil where there is none
}

// Decision is what a batch of commands changes, and the replies.
type Decision struct {
	Replies []Reply  // one per command, in their order
	Changes []Change // one per order that is not as it was, by id
}

// Decide applies the commands one after the other. Every command but a refusal is answered with
// what its order is now, whether it changed anything or not: a saga that missed the first answer,
// or that is wrong about the order, learns the truth. Where nothing changed, that is the same event
// again. known is not changed.
func Decide(known Known, commands []Command) Decision {
	orders := maps.Clone(known.Orders)
	d := Decision{Replies: make([]Reply, len(commands))}
	for i, c := range commands {
		before, exists := orders[c.OrderID]
		if !exists {
			d.Replies[i] = Reply{Outcome: Unknown}
			continue
		}
		next, outcome := before.Apply(c)
		now := Current{next, before.Since}
		if next.Status != before.Status {
			now.Since = known.At
		}
		orders[c.OrderID] = now
		d.Replies[i] = Reply{outcome, next.Status, Answer(c, next, outcome, now.Since, known.At)}
	}
	for id, now := range orders {
		if before := known.Orders[id].State; now.State != before {
			d.Changes = append(d.Changes, Change{OrderID: id, From: before, To: now.State})
		}
	}
	slices.SortFunc(d.Changes, func(a, b Change) int { return cmp.Compare(a.OrderID, b.OrderID) })
	return d
}
