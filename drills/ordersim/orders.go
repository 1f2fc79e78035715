package ordersim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/orders/order"
	"waybill.example/sdk/saga/sagasim"
)

// ordersDB is the database of Orders.
type ordersDB struct {
	f    *flow
	rows map[int64]placed
	next int64
}

// placed is an order.
type placed struct {
	order.State
	since     time.Time
	created   uuid.UUID // its OrderCreated
	requested uuid.UUID // the OrderCancelRequested, if a client asked for one
}

// Clone implements [sagasim.Database].
func (o *ordersDB) Clone() sagasim.Database { return &ordersDB{o.f, maps.Clone(o.rows), o.next} }

func (o *ordersDB) ids() []int64 { return slices.Sorted(maps.Keys(o.rows)) }

// place is POST /v1/orders.
func (o *ordersDB) place(lines []order.Line) (int64, sagasim.Message) {
	o.next++
	id, created := o.next, o.f.w.ID()
	o.rows[id] = placed{State: order.State{Status: order.Pending}, since: o.f.w.Clock(), created: created}
	o.f.w.Tracef("order %d is placed: %v", id, lines)
	event := order.Placement{ID: id, Request: order.Request{Draft: order.Draft{UserID: "u"}.Of(lines)}}.Event(o.f.w.Clock()).(contracts.OrderCreated)
	event.EventID = created
	return id, o.f.event(event)
}

// requestCancel is POST /v1/orders/{id}/cancel.
func (o *ordersDB) requestCancel(id int64) []sagasim.Message {
	row, ok := o.rows[id]
	if !ok || row.Status == order.Cancelled || row.requested != uuid.Nil {
		return nil
	}
	row.requested = o.f.w.ID()
	o.rows[id] = row
	o.f.w.Tracef("cancellation of order %d is requested", id)
	return []sagasim.Message{o.f.event(contracts.OrderCancelRequested{
		Envelope: contracts.Envelope{EventID: row.requested, Time: o.f.w.Clock(), OrderID: id},
	})}
}

// cancelByHand is update orders set status = 'CANCELLED' where id = … and status = 'PENDING'.
func (o *ordersDB) cancelByHand(id int64) {
	row, ok := o.rows[id]
	if !ok || row.Status != order.Pending {
		return
	}
	row.State, row.since = order.State{Status: order.Cancelled, Reason: "by hand"}, o.f.w.Clock()
	o.rows[id] = row
	o.f.cancelledByHand[id] = false
	o.f.w.Tracef("order %d is cancelled by hand", id)
}

// Handle implements [sagasim.Database]: it is what the consumer of Orders does.
func (o *ordersDB) Handle(m sagasim.Message, now time.Time) ([]sagasim.Message, error) {
	command, err := o.command(m)
	if err != nil {
		return nil, err
	}
	row, ok := o.rows[command.OrderID]
	if !ok {
		return nil, fmt.Errorf("order %d: %w", command.OrderID, order.ErrNotFound)
	}
	if command.Action == order.Refuse && o.f.w.Bug() == RefusalIsSilent {
		return nil, nil
	}
	next, outcome := row.Apply(command)
	if next.Status != row.Status {
		row.since = now
	}
	row.State = next
	o.rows[command.OrderID] = row
	event := order.Answer(command, next, outcome, row.since, now)
	if event == nil {
		return nil, nil
	}
	return []sagasim.Message{o.f.answer(event, m.ID, outcome != order.Changed)}, nil
}

func (*ordersDB) command(m sagasim.Message) (order.Command, error) {
	switch c := m.Body.(type) {
	case contracts.ConfirmOrder:
		return order.Command{OrderID: c.OrderID, Action: order.Confirm}, nil
	case contracts.CancelOrder:
		return order.Command{OrderID: c.OrderID, Action: order.Cancel, Reason: c.Reason}, nil
	case contracts.RefuseCancel:
		return order.Command{OrderID: c.OrderID, Action: order.Refuse, Reason: c.Reason}, nil
	}
	return order.Command{}, fmt.Errorf("%s is no command for an order", m.Type)
}

// event makes what travels of an event.
func (f *flow) event(m contracts.Message) sagasim.Message {
	record, err := contracts.Encode(m)
	if err != nil {
		f.w.Violation("a service makes an invalid message: %v", err)
	}
	out := sagasim.Message{
		Topic: record.Topic, Body: m, Message: ordersaga.Message(m, record.Payload, ""),
		Content: string(contracts.Content(record.Payload)),
	}
	out.Type = record.Type
	return out
}

// happened identifies something that can happen once.
type happened struct {
	what  string
	order int64
}

// answer makes what travels of the answer to a command, and checks that what happened once has one
// id.
func (f *flow) answer(event contracts.Message, command uuid.UUID, again bool) sagasim.Message {
	out := f.event(event)
	if f.w.Bug() == FreshEventID {
		out.ID, again = f.w.ID(), false
	}
	if again {
		out.InReplyTo = command
	} else {
		out.CausationID = command
	}
	it := happened{out.Type, event.Meta().OrderID}
	if id, ok := f.ids[it]; ok && id != out.ID {
		f.w.Violation("order %d: %s is reported under two ids, %s and %s", it.order, it.what, id, out.ID)
	}
	f.ids[it] = out.ID
	return out
}
