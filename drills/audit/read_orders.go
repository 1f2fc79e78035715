package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// readOrders reads the orders last, so that nothing which refers to one can have come before it.
func (a *Auditor) readOrders(ctx context.Context, created []int64) error {
	began := time.Now()
	if err := a.readMissing(ctx, began); err != nil {
		return err
	}
	ids := slices.Concat(slices.Collect(maps.Keys(a.open)), slices.Collect(maps.Keys(a.claims)), created)
	reservations, err := a.databases.reservations(ctx, a.lastOrder, ids)
	if err != nil {
		return err
	}
	for _, r := range reservations {
		ids = append(ids, r.OrderID)
	}
	orders, err := a.databases.orders(ctx, a.lastOrder, ids)
	if err != nil {
		return err
	}
	sagas, err := a.databases.sagas(ctx, slices.Collect(maps.Keys(orders)))
	if err != nil {
		return err
	}
	a.claims.settle(orders, a.missing, a.cfg.Gone, a.results)
	if a.cfg.Ledger != "" {
		for _, o := range orders {
			a.asked.found(o)
		}
		a.asked.judge(a.results)
	}
	for _, id := range created {
		if _, there := orders[id]; !there {
			a.results.keep(Announced, fmt.Sprintf("order %d", id), repairShow(id), "an OrderCreated reports it, and it is not there")
		}
	}
	held := map[int64]bool{}
	for _, id := range join(orders, reservations, sagas, a.missing, a.results) {
		a.open[id], held[id] = true, true
	}
	for id := range a.open { // of a key that is no order's, or an order that was removed
		if _, there := orders[id]; !there && id <= a.lastOrder && !held[id] {
			delete(a.open, id)
		}
	}
	limits := a.cfg.Limits
	limits.Settle += time.Since(began)
	for id, o := range orders {
		a.lastOrder = max(a.lastOrder, id)
		if a.results.judge(o, limits) {
			delete(a.open, id)
		} else {
			a.open[id] = true
		}
	}
	return nil
}

// join gives each order what the other databases have of it. A live reservation without an order is
// a finding: Inventory holds items that nobody asked for. Its id is returned, to look at it again.
// That of a missing order is not: the order will be recovered.
func join(orders map[int64]order, reservations []reservation, sagas []saga, missing map[int64]bool, r *results) (orphans []int64) {
	for i, held := range reservations {
		o, there := orders[held.OrderID]
		if !there {
			if held.State == reservedState && !missing[held.OrderID] {
				orphans = append(orphans, held.OrderID)
				r.find(Reserved, fmt.Sprintf("order %d", held.OrderID), repairRelease(held.OrderID),
					"%s are reserved for it, and there is no such order", held.items)
			}
			continue
		}
		o.Reservation = &reservations[i]
		orders[held.OrderID] = o
	}
	for i, s := range sagas {
		if o, there := orders[s.OrderID]; there {
			o.Saga = &sagas[i]
			orders[s.OrderID] = o
		}
	}
	return orphans
}
