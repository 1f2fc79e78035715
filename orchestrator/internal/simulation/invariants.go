package simulation

import (
	"fmt"
	"maps"
	"slices"

	"waybill/contracts"
	"waybill/orchestrator/saga"
)

func (w *world) violation(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	w.trace("VIOLATION: %s", v)
	w.result.Violations = append(w.result.Violations, v)
}

// check holds the world, once everything has come to rest, against the
// promises of the design.
func (w *world) check() {
	for _, id := range slices.Sorted(maps.Keys(w.orders.all)) {
		w.checkOrder(id, w.orders.all[id])
	}
	held := map[string]int32{}
	for _, r := range w.inventory.held {
		if r.live {
			held[r.sku] += r.quantity
		}
	}
	for _, sku := range skus {
		if got := w.inventory.stock[sku] + held[sku]; got != w.inventory.initial[sku] {
			w.violation("%s: %d at the start, %d now", sku, w.inventory.initial[sku], got)
		}
		if w.inventory.stock[sku] < 0 {
			w.violation("%s: stock is negative", sku)
		}
	}
}

func (w *world) checkOrder(id int64, o *order) {
	s, begun := w.orchestrator.sagas[key(id)]
	switch {
	case !begun:
		w.violation("order %d: its saga never began", id)
		return
	case !s.Phase.Ended():
		w.violation("order %d: its saga has not ended, it is %s", id, s.Phase)
		return
	}
	switch o.status {
	case "CONFIRMED":
		w.result.Confirmed++
	case "CANCELLED":
		w.result.Cancelled++
	default:
		w.violation("order %d is still %s", id, o.status)
	}
	if (o.status == "CONFIRMED") != (s.Phase == saga.Completed) {
		w.violation("order %d is %s, its saga %s", id, o.status, s.Phase)
	}
	if o.confirms > 1 || o.cancels > 1 {
		w.violation("order %d was confirmed %d and cancelled %d times", id, o.confirms, o.cancels)
	}
	if o.requested && o.status != "CANCELLED" {
		w.violation("order %d: a cancellation was asked for, and it is %s", id, o.status)
	}
	r, known := w.inventory.held[id]
	live := known && r.live
	if live != (o.status == "CONFIRMED") {
		w.violation("order %d is %s, its items are reserved: %t", id, o.status, live)
	}
	if known && (r.reserves > 1 || r.releases > r.reserves) {
		w.violation("order %d: items taken %d times, given back %d times", id, r.reserves, r.releases)
	}
	if n := w.orchestrator.late[key(id)]; n > 1 {
		w.violation("order %d: a late reply was compensated %d times", id, n)
	}
}

// envelope starts a message; cause may be nil.
func (w *world) envelope(order int64, t contracts.Type, cause contracts.Message) contracts.Envelope {
	e := contracts.Envelope{EventID: w.id(), Type: t, Time: w.clock(), OrderID: order}
	if cause != nil {
		e.CausationID = cause.Meta().EventID
	}
	w.orchestrator.order[e.EventID] = len(w.orchestrator.order) + 1
	return e
}

// named fills the type in, which the codec would do on the way to the outbox.
func named(m contracts.Message, t contracts.Type) contracts.Message {
	switch m := m.(type) {
	case contracts.ReserveInventory:
		m.Type = t
		return m
	case contracts.ReleaseInventory:
		m.Type = t
		return m
	case contracts.ConfirmOrder:
		m.Type = t
		return m
	case contracts.CancelOrder:
		m.Type = t
		return m
	}
	return m
}
