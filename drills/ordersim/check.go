package ordersim

import (
	"slices"
	"strconv"

	"github.com/google/uuid"

	"waybill.example/inventory/stock"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/orders/order"
	"waybill.example/sdk/saga"
)

func ref(id int64) saga.Ref {
	return saga.Ref{Definition: ordersaga.Name, ID: strconv.FormatInt(id, 10)}
}

// stuck accepts sagas of orders that a restore of Orders' database has lost: nobody can confirm or
// cancel them, and the saga says so.
func (f *flow) stuck(s saga.State) bool {
	id, err := strconv.ParseInt(s.ID, 10, 64)
	_, exists := f.row(id)
	return err == nil && f.orders.Restored() && !exists
}

// check holds orders, sagas and stock against one another, once everything has come to rest.
func (f *flow) check() {
	db := f.orders.DB().(*ordersDB)
	for _, id := range db.ids() {
		f.checkOrder(id, db.rows[id])
	}
	held := map[string]int64{}
	inventory := f.inventory.DB().(*inventoryDB)
	for id, r := range inventory.reservations {
		if r.State == stock.Reserved {
			for _, line := range r.Lines {
				held[line.SKU] += int64(line.Quantity)
			}
			if _, exists := db.rows[id]; !exists && !f.orders.Restored() {
				f.w.Violation("order %d: items are reserved for an order that does not exist", id)
			}
		}
	}
	for _, sku := range skus {
		if got := inventory.onHand[sku] + held[sku]; got != f.initial[sku] || inventory.onHand[sku] < 0 {
			f.w.Violation("%s: %d at the start, now %d on hand and %d reserved", sku, f.initial[sku], inventory.onHand[sku], held[sku])
		}
	}
}

func (f *flow) checkOrder(id int64, row placed) {
	s, exists := f.orchestrator.Saga(ref(id))
	switch {
	case f.orchestrator.SetAside(row.created) || f.orders.Restored() && f.orchestrator.WasSetAside(row.created):
		f.result.LeftOut++
		return // a dead letter says so: another order had the id before a restore
	case f.orchestrator.Forgotten(ref(id)):
		exists = false
	case !exists:
		f.w.Violation("order %d: its saga never began", id)
		return
	case s.StartID != row.created:
		f.w.Violation("order %d: its saga is another order's, and nothing says so", id)
		return
	}
	f.count(row)
	_, lost := f.orchestrator.Lost(ref(id))
	if lost {
		f.result.LeftOut++
		return // what an operator did is in no topic: a restore forgets it, and only an audit can tell
	}
	if f.orchestrator.Restored() && f.orchestrator.WasSetAside(row.created) {
		f.result.LeftOut++
		return // its commands were forgotten, their effects were not, and what led to them came again too late
	}
	if f.orchestrator.Restored() && f.orchestrator.Forgotten(ref(id)) && f.orchestrator.WasSetAside(row.requested) {
		// Before the restore its cancellation was carried out in part. Then it was a dead letter
		// for longer than the saga is kept, and redriven it finds nothing to cancel.
		f.result.LeftOut++
		return
	}
	if f.orchestrator.Resolved(ref(id)) {
		f.result.LeftOut++
		return // an operator has said what became of a step: where that is not so, it was declared
	}
	if f.cancelledByHand[id] {
		// A person's update is in no topic: the saga has learnt of it and turned back, and the
		// restored database takes the confirmation that it reads again. Only an audit can tell.
		f.result.LeftOut++
		return
	}
	if forced := f.orchestrator.Forced(ref(id)); forced != "" {
		f.checkForced(id, row, forced)
		return
	}
	if exists {
		f.checkAgreement(id, row, s)
	} else if row.Status == order.Pending {
		f.w.Violation("order %d: its saga has ended and is forgotten, and it is still PENDING", id)
	}
	f.checkReservation(id, row)
	f.checkCancellation(id, row)
}

func (f *flow) count(row placed) {
	switch row.Status {
	case order.Confirmed:
		f.result.Confirmed++
	case order.Cancelled:
		f.result.Cancelled++
	case order.Pending:
	}
}

func (f *flow) checkAgreement(id int64, row placed, s saga.State) {
	agreed := row.Status == order.Confirmed && s.Phase == saga.Completed || row.Status == order.Cancelled && s.Phase == saga.Cancelled
	if s.Phase.Ended() && !agreed {
		f.w.Violation("order %d is %s, its saga %s", id, row.Status, s.Phase)
	}
}

func (f *flow) checkReservation(id int64, row placed) {
	r, known := f.inventory.DB().(*inventoryDB).reservations[id]
	live := known && r.State == stock.Reserved
	switch {
	case row.Status == order.Cancelled && live:
		f.w.Violation("order %d is CANCELLED, and its items are still reserved", id)
	case row.Status == order.Confirmed && !live && (!f.inventory.Restored() || known && f.plenty(r.Lines)):
		// A restored Inventory decides again, and where there is little, others may be first.
		f.w.Violation("order %d is CONFIRMED, and no items are reserved", id)
	}
}

// plenty reports whether there is enough for every order of a run.
func (f *flow) plenty(lines []stock.Line) bool {
	return !slices.ContainsFunc(lines, func(l stock.Line) bool { return f.initial[l.SKU] < 1000 })
}

// checkCancellation: who asked for a cancellation has it, or knows why not, or a dead letter has
// it.
func (f *flow) checkCancellation(id int64, row placed) {
	asked := row.requested != uuid.Nil
	if asked && row.Status != order.Cancelled && row.CancelRefused == "" && !f.orchestrator.SetAside(row.requested) {
		f.w.Violation("order %d: a cancellation was asked for, and it is %s", id, row.Status)
	}
}

// checkForced: whatever an operator does, no order hangs, and no items are kept for nothing.
func (f *flow) checkForced(id int64, row placed, end string) {
	r, known := f.inventory.DB().(*inventoryDB).reservations[id]
	live := known && r.State == stock.Reserved
	switch {
	case row.Status == order.Pending:
		f.w.Violation("order %d was forced to %s, and is still PENDING", id, end)
	case end == "CANCELLED" && row.Status != order.Cancelled:
		f.w.Violation("order %d was forced to %s, and is %s", id, end, row.Status)
	case end == "CANCELLED" && live:
		f.w.Violation("order %d was forced to %s, and its items are still reserved", id, end)
	}
}
