package ordersim

import (
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/orders/order"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagasim"
)

// The bugs of the order flow, besides those of [sagasim.Bugs].
const (
	// FreshEventID gives each answer an id of its own, also where it tells the same again.
	FreshEventID sagasim.Bug = "fresh-event-id"
	// ContradictionIsIgnored lets a saga ask for a confirmation that cannot be had.
	ContradictionIsIgnored sagasim.Bug = "contradiction-is-ignored"
	// RefusalIsSilent does not tell the client that a cancellation is refused.
	RefusalIsSilent sagasim.Bug = "refusal-is-silent"
	// ReservationIsForgotten reserves again what is reserved.
	ReservationIsForgotten sagasim.Bug = "reservation-is-forgotten"
	// ReleaseIsForgotten answers a release, and gives nothing back.
	ReleaseIsForgotten sagasim.Bug = "release-is-forgotten"
	// OneLineIsReleased gives back one line of an order, however many it has.
	OneLineIsReleased sagasim.Bug = "one-line-is-released"
)

// Bugs are all that can be planted here. [sagasim.NullIsNotBegun] needs a saga whose data is null.
func Bugs() []sagasim.Bug {
	bugs := []sagasim.Bug{FreshEventID, ContradictionIsIgnored, RefusalIsSilent, ReservationIsForgotten, ReleaseIsForgotten, OneLineIsReleased}
	for _, b := range sagasim.Bugs() {
		switch b {
		case sagasim.NullIsNotBegun, sagasim.EarlyEventIsStale, sagasim.UnknownEventIsSkipped:
		default:
			bugs = append(bugs, b)
		}
	}
	return bugs
}

const (
	cancelWindow = 10 * time.Minute
	// retention is longer than the window by more than a restore goes back: a cancellation that was
	// granted must find its saga when it is read again.
	retention = 28 * time.Minute
)

// timing is short, so that a run has room for everything.
func timing() ordersaga.Timing {
	return ordersaga.Timing{
		ReserveWithin: 5 * time.Second, ReserveAttempts: 3, ReplyWithin: 5 * time.Second, CancelWindow: cancelWindow,
	}
}

// Config is one run.
type Config struct {
	sagasim.Config
	Orders int // 20 if zero
}

// Result is what became of a run.
type Result struct {
	sagasim.Result
	Orders, Confirmed, Cancelled int
	// LeftOut are orders that are not compared with their sagas: a restore has forgotten what no
	// topic has.
	LeftOut int
}

// flow is one run.
type flow struct {
	w            *sagasim.World
	result       Result
	orchestrator *sagasim.Orchestrator
	orders       *sagasim.Service
	inventory    *sagasim.Service
	initial      map[string]int64
	highest      int64 // order id that was ever given out
	ids          map[happened]uuid.UUID
	byHand       bool // people change orders in the database
	// cancelledByHand are the orders that a person has cancelled; true where a restore of Orders'
	// database has forgotten it.
	cancelledByHand map[int64]bool
}

// Run runs one simulation.
func Run(c Config) Result {
	if c.Orders == 0 {
		c.Orders = 20
	}
	f := &flow{w: sagasim.New(c.Config), initial: map[string]int64{}, ids: map[happened]uuid.UUID{}, byHand: c.Seed%7 == 1, cancelledByHand: map[int64]bool{}}
	f.build()
	for range c.Orders {
		f.w.At(f.w.Within(sagasim.Busy), func() { f.place() })
	}
	f.w.Check(f.check)
	f.result.Result = f.w.Run()
	return f.result
}

var skus = []string{"burger", "salad", "soup"}

func (f *flow) build() {
	onHand := map[string]int64{}
	scarce := f.w.Pick(2) == 0
	for _, sku := range skus {
		f.initial[sku] = 1000
		if scarce {
			f.initial[sku] = int64(f.w.Pick(30))
		}
		onHand[sku] = f.initial[sku]
	}
	f.orders = f.w.Service("orders", &ordersDB{f: f, rows: map[int64]placed{}}, contracts.TopicOrderCommands)
	f.inventory = f.w.Service("inventory", &inventoryDB{f, onHand, map[int64]stock.Reservation{}}, contracts.TopicInventoryCommands)
	with := sagasim.Orchestration{
		Releases: releases(f.w), Topics: []string{contracts.TopicOrders, contracts.TopicInventory},
		Encode: encode, Decode: decode, Stuck: f.stuck,
	}
	if f.w.Pick(2) == 0 {
		with.Retention = retention
	}
	o, err := f.w.Orchestrate(with)
	if err != nil {
		panic(err) // two definitions of this package, which its tests build
	}
	f.orchestrator = o
	f.orders.OnRestore(f.bumpIDs)
	f.orders.OnRestore(f.forgetByHand)
}

// bumpIDs is what the runbook says to do after a restore of Orders' database. Some forget it, and
// the next orders have ids that others had.
func (f *flow) bumpIDs() {
	for range 3 {
		f.w.Later(f.w.Within(time.Minute), f.place)
	}
	if f.w.Pick(3) > 0 {
		f.orders.DB().(*ordersDB).next = f.highest
	}
}

func encode(c saga.Command) (sagasim.Message, error) {
	record, err := ordersaga.Encode(c)
	return sagasim.Message{Topic: record.Topic, Body: c.Body, Message: saga.Message{
		ID: c.ID, Type: c.Type, Key: record.Key, CausationID: c.CausationID, Data: record.Payload,
	}, Content: string(contracts.Content(record.Payload))}, err
}

func decode(m sagasim.Message) saga.Message {
	if m.InReplyTo == uuid.Nil {
		return m.Message
	}
	return ordersaga.Answering(m.Message, m.InReplyTo.String())
}

// place is a client who places an order, and may ask for its cancellation.
func (f *flow) place() {
	if !f.orders.Up() {
		f.w.Later(time.Second, f.place)
		return
	}
	lines := f.lines()
	var id int64
	f.orders.Do(func(db sagasim.Database) []sagasim.Message {
		var m sagasim.Message
		id, m = db.(*ordersDB).place(lines)
		return []sagasim.Message{m}
	})
	f.highest = max(f.highest, id)
	f.result.Orders++
	if f.byHand && id%3 == 0 {
		f.w.Later(time.Duration(id)*20*time.Millisecond, func() { f.cancelByHand(id) })
	}
	switch f.w.Pick(8) {
	case 0, 1:
		f.w.Later(f.w.Within(cancelWindow), func() { f.requestCancel(id) })
	case 2:
		f.w.Later(f.w.Within(6*cancelWindow), func() { f.requestCancel(id) })
	case 3:
		f.w.Later(f.w.Within(100*time.Millisecond), func() { f.requestCancel(id) })
	}
}

// lines are what a client orders: one sku, or several.
func (f *flow) lines() []order.Line {
	var lines []order.Line
	first, more := f.w.Pick(len(skus)), 0
	if f.w.Pick(3) == 0 {
		more = 1 + f.w.Pick(len(skus)-1)
	}
	for i := range 1 + more {
		lines = append(lines, order.Line{SKU: skus[(first+i)%len(skus)], Quantity: int32(1 + f.w.Pick(5))})
	}
	return lines
}

// cancelByHand is an update of the table by a person, of which nobody is notified. A saga that asks
// for the confirmation learns it from the answer.
func (f *flow) cancelByHand(id int64) {
	if !f.orders.Up() {
		return
	}
	f.orders.Do(func(db sagasim.Database) []sagasim.Message {
		db.(*ordersDB).cancelByHand(id)
		return nil
	})
}

// forgetByHand notes which cancellations by hand a restore has taken back.
func (f *flow) forgetByHand() {
	for id := range f.cancelledByHand {
		if row, ok := f.row(id); ok && row.Status == order.Pending {
			f.cancelledByHand[id] = true
		}
	}
}

func (f *flow) requestCancel(id int64) {
	if !f.orders.Up() {
		f.w.Later(time.Second, func() { f.requestCancel(id) })
		return
	}
	f.orders.Do(func(db sagasim.Database) []sagasim.Message { return db.(*ordersDB).requestCancel(id) })
}

func (f *flow) row(id int64) (placed, bool) {
	row, ok := f.orders.DB().(*ordersDB).rows[id]
	return row, ok
}
