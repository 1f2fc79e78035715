package audit

import (
	"fmt"

	"waybill/drills/load"
)

// claims are the orders that a client was promised and the audit has not found yet, by order id.
type claims map[int64]load.Entry

// add takes what the ledger says. No two requests may have been answered with the same order.
func (c claims) add(e load.Entry, seen map[int64]int64, r *results) {
	if !e.Accepted() {
		return
	}
	r.looked[Accepted]++
	if first, twice := seen[e.OrderID]; twice {
		r.keep(Accepted, fmt.Sprintf("order %d", e.OrderID), repairShow(e.OrderID), "answered to request %d and again to request %d", first, e.N)
		return
	}
	seen[e.OrderID] = e.N
	c[e.OrderID] = e
}

// settle compares the claims with the orders that are there and drops those that are kept.
func (c claims) settle(orders map[int64]order, r *results) {
	for id, e := range c {
		subject := fmt.Sprintf("order %d", id)
		o, there := orders[id]
		switch {
		case !there:
			r.find(Accepted, subject, repairLost(e), "lost: request %d (userId %s) was answered 202 at %s, and there is no such order",
				e.N, e.UserID, e.Done.UTC().Format("15:04:05.000"))
		case o.UserID != e.UserID || o.SKU != e.SKU || o.Quantity != e.Quantity:
			r.find(Accepted, subject, repairShow(id), "request %d asked for %d × %q for %s, the order is %d × %q for %s",
				e.N, e.Quantity, e.SKU, e.UserID, o.Quantity, o.SKU, o.UserID)
		default:
			delete(c, id)
		}
	}
}
