package audit

import (
	"fmt"
	"time"
)

// The statuses and states that the checks speak of.
const (
	pending   = "PENDING"
	confirmed = "CONFIRMED"
	cancelled = "CANCELLED"

	reservedState = "RESERVED"
)

// order is one order as its three databases have it. Ages are those at the time of reading.
type order struct {
	ID     int64
	UserID string
	items
	Status      string
	Age, Still  time.Duration // since it was placed, since its last change
	Announced   int           // OrderCreated rows of it
	Expired     bool          // it is older than the oldest row of the outbox
	Reservation *reservation
	Saga        *saga
}

type reservation struct {
	OrderID int64
	items
	State string
	Still time.Duration
}

type saga struct {
	OrderID int64
	Phase   string
	State   string
	Reason  string
	Ended   bool
	Still   time.Duration
	// Repeated counts the messages that moved it more than once.
	Repeated int
}

// Limits says what is too young to be judged.
type Limits struct {
	// Settle is how long an order's rows must have been left alone for them to be compared.
	Settle time.Duration
	// Overdue is the age from which on an order must be terminal, a row published, and a message
	// handled. Sagas have deadlines: it should be longer than those.
	Overdue time.Duration
}

// judge holds an order against the promises. It reports whether the order is done with: all is
// well, and nothing about it is going to change, unless its client still cancels it.
func (r *results) judge(o order, limits Limits) (done bool) {
	if o.still() < limits.Settle {
		return false
	}
	subject := fmt.Sprintf("order %d", o.ID)
	if o.Expired && o.Saga == nil && o.Status != pending {
		return true // so long ago that nothing else is kept of it
	}
	if o.Announced == 0 && !o.Expired {
		r.find(Announced, subject, repairShow(o.ID), "there, and no OrderCreated reports it")
		return false
	}
	if o.Saga != nil && o.Saga.Ended && o.Status == pending {
		r.forced(o, subject)
		return false
	}
	ended := o.Saga != nil && o.Saga.Ended
	switch late := o.Age > limits.Overdue; {
	case !ended && !late:
		return false
	case o.Saga == nil:
		r.find(Terminal, subject, repairReplayKey("orders", o.ID), "%s for %s, and no saga was ever started for it", o.Status, round(o.Age))
		return false
	case !ended:
		r.find(Terminal, subject, repairOverdue(o.ID), "%s, %s after it was placed; its saga is %s since %s",
			o.Status, round(o.Age), o.Saga.State, round(o.Saga.Still))
		return false
	}
	before := r.count()
	r.agree(o, subject)
	if r.count() > before {
		return false
	}
	for _, c := range []Check{Announced, Terminal, Reserved, Agreed} {
		r.looked[c]++
	}
	return true
}

// forced judges an order whose saga has ended without it: an operator has forced the saga, or
// somebody has changed the order. Nothing is going to move it any more.
func (r *results) forced(o order, subject string) {
	r.find(Terminal, subject, repairForced(o.ID, o.Saga.State), "PENDING, and its saga has ended %s without it", o.Saga.State)
	held := o.Reservation != nil && o.Reservation.State == reservedState
	switch {
	case o.Saga.State == cancelled && held:
		r.find(Reserved, subject, repairRelease(o.ID), "its saga has ended CANCELLED, and %s are still reserved for it", o.Reservation.items)
	case o.Saga.State == confirmed && !held:
		r.find(Reserved, subject, repairExplain(o.ID), "its saga has ended CONFIRMED, and nothing is reserved for it")
	}
}

// still is how long nothing of the order has changed.
func (o order) still() time.Duration {
	still := o.Still
	if o.Reservation != nil {
		still = min(still, o.Reservation.Still)
	}
	if o.Saga != nil {
		still = min(still, o.Saga.Still)
	}
	return still
}

// agree compares the parts of an order whose saga has ended.
func (r *results) agree(o order, subject string) {
	held := o.Reservation != nil && o.Reservation.State == reservedState
	switch {
	case o.Status == confirmed && o.Reservation == nil:
		r.find(Reserved, subject, repairCancel(o.ID), "CONFIRMED, and Inventory has never heard of it")
	case o.Status == confirmed && !held:
		r.find(Reserved, subject, repairCancel(o.ID), "CONFIRMED, but its reservation is %s", o.Reservation.State)
	case o.Status == confirmed && !o.same(o.Reservation.items):
		r.find(Reserved, subject, repairCancel(o.ID), "asks for %s, and %s are reserved for it", o.items, o.Reservation.items)
	case o.Status == cancelled && held:
		r.find(Reserved, subject, repairRelease(o.ID), "CANCELLED, and %s are still reserved for it", o.Reservation.items)
	}
	if o.Saga.State != o.Status {
		r.find(Agreed, subject, repairExplain(o.ID), "%s, but its saga ended %s", o.Status, o.Saga.State)
	}
	if o.Saga.Repeated > 0 {
		r.find(Once, subject, repairExplain(o.ID), "%d messages moved its saga more than once", o.Saga.Repeated)
	}
}

// round makes a duration readable.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
