package audit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"waybill.example/drills/load"
)

// claims are the orders that a client was promised and the audit has not found yet, by order id.
type claims map[int64]load.Entry

// requests is what the client's requests have led to. A request is known by its userId: no two of a
// run have the same.
type requests struct {
	keysLost time.Time
	first    map[string]time.Time      // when it was first sent, by userId
	lost     map[string]bool           // its key may have been forgotten when it was sent again
	promised map[int64]string          // userId by the id of the order that was answered
	answered map[string]int64          // order id by userId
	keyed    map[string]bool           // requests that were sent with a key, by userId
	orders   map[string]map[int64]bool // orders that are there, by userId; empty without a ledger
}

func newRequests(keysLost time.Time) *requests {
	return &requests{keysLost, map[string]time.Time{}, map[string]bool{}, map[int64]string{}, map[string]int64{}, map[string]bool{}, map[string]map[int64]bool{}}
}

// add takes what the ledger says. No two requests may have been answered with the same order, and
// no request with two.
func (q *requests) add(e load.Entry, c claims, r *results) {
	if e.Key != "" && !q.keyed[e.UserID] {
		q.keyed[e.UserID] = true
		r.looked[Placed]++
	}
	if first, again := q.first[e.UserID]; !again {
		q.first[e.UserID] = e.Sent
	} else if first.Before(q.keysLost) && e.Done.After(q.keysLost) {
		q.lost[e.UserID] = true
	}
	if !e.Accepted() {
		return
	}
	if before, again := q.answered[e.UserID]; again && e.Key != "" {
		if before != e.OrderID && !q.lost[e.UserID] {
			r.keep(Placed, fmt.Sprintf("request %d", e.N), repairCancel(e.OrderID),
				"sent again with its key it was answered with order %d, and before that with order %d", e.OrderID, before)
		}
		return
	}
	q.answered[e.UserID] = e.OrderID
	r.looked[Accepted]++
	if first, twice := q.promised[e.OrderID]; twice {
		r.keep(Accepted, fmt.Sprintf("order %d", e.OrderID), repairShow(e.OrderID), "answered to %s and again to request %d of %s", first, e.N, e.UserID)
		return
	}
	q.promised[e.OrderID] = e.UserID
	c[e.OrderID] = e
}

// found takes an order that is there. It must be the only one of its request.
func (q *requests) found(o order) {
	if q.orders[o.UserID] == nil {
		q.orders[o.UserID] = make(map[int64]bool, 1)
	}
	q.orders[o.UserID][o.ID] = true
}

// judge finds the requests of the ledger that have led to more than one order.
func (q *requests) judge(r *results) {
	for user := range q.keyed {
		if orders := q.orders[user]; len(orders) > 1 && !q.lost[user] {
			ids := slices.Sorted(maps.Keys(orders))
			r.keep(Placed, "request of "+user, repairCancel(ids[len(ids)-1]), "was sent with one key, and there are the orders %v", ids)
		}
	}
}

// settle compares the claims with the orders that are there and drops those that are kept. What is
// missing can be given back, and must not be placed again.
func (c claims) settle(orders map[int64]order, missing, gone map[int64]bool, r *results) {
	for id, e := range c {
		subject := fmt.Sprintf("order %d", id)
		o, there := orders[id]
		switch {
		case !there && missing[id]:
			r.find(Accepted, subject, repairMissing, "request %d (userId %s) was answered 202 at %s, and its saga is all that is left of it",
				e.N, e.UserID, e.Done.UTC().Format("15:04:05.000"))
		case !there && gone[id]:
			r.gone++
			delete(c, id)
		case !there:
			r.find(Accepted, subject, repairLost(e), "lost: request %d (userId %s) was answered 202 at %s, and there is no such order",
				e.N, e.UserID, e.Done.UTC().Format("15:04:05.000"))
		case o.UserID != e.UserID || !o.same(asked(e)):
			r.find(Accepted, subject, repairShow(id), "request %d asked for %s for %s, the order is %s for %s",
				e.N, asked(e), e.UserID, o.items, o.UserID)
		default:
			delete(c, id)
		}
	}
}
