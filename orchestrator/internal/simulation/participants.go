package simulation

import (
	"waybill/contracts"
)

// order is what Orders knows of an order.
type order struct {
	sku       string
	quantity  int32
	status    string
	confirms  int // times it became CONFIRMED
	cancels   int
	requested bool
}

type orders struct {
	service
	all map[int64]*order
}

func newOrders(w *world) *orders {
	o := &orders{all: map[int64]*order{}}
	o.service = newService(w, "orders", o.handle)
	return o
}

var skus = []string{"burger", "salad", "soup"}

func (o *orders) place(id int64) {
	one := &order{sku: skus[o.w.dice.IntN(len(skus))], quantity: int32(1 + o.w.dice.IntN(5)), status: "PENDING"}
	o.all[id] = one
	o.w.trace("order %d is placed: %d %s", id, one.quantity, one.sku)
	o.outbox.append(contracts.OrderCreated{
		Envelope: o.w.envelope(id, contracts.TypeOrderCreated, nil), UserID: "u", SKU: one.sku, Quantity: one.quantity,
	})
}

func (o *orders) requestCancel(id int64) {
	one := o.all[id]
	if one.status == "CANCELLED" {
		return
	}
	one.requested = true
	o.w.trace("cancellation of order %d is requested", id)
	o.outbox.append(contracts.OrderCancelRequested{Envelope: o.w.envelope(id, contracts.TypeOrderCancelRequested, nil)})
}

func (o *orders) handle(m contracts.Message) []contracts.Message {
	id := m.Meta().OrderID
	one := o.all[id]
	switch m := m.(type) {
	case contracts.ConfirmOrder:
		if one.status == "CANCELLED" {
			return nil // contradicts what was done: nothing happens
		}
		if one.status == "PENDING" {
			one.status = "CONFIRMED"
			one.confirms++
		}
		return []contracts.Message{contracts.OrderConfirmed{Envelope: o.w.envelope(id, contracts.TypeOrderConfirmed, m)}}
	case contracts.CancelOrder:
		if one.status != "CANCELLED" {
			one.status = "CANCELLED"
			one.cancels++
		}
		return []contracts.Message{contracts.OrderCancelled{Envelope: o.w.envelope(id, contracts.TypeOrderCancelled, m), Reason: m.Reason}}
	}
	return nil
}

// reservation is what Inventory knows of an order.
type reservation struct {
	sku      string
	quantity int32
	live     bool
	reserves int // times stock was taken
	releases int // times stock was given back
}

type inventory struct {
	service
	initial map[string]int32
	stock   map[string]int32
	held    map[int64]*reservation
}

func newInventory(w *world) *inventory {
	i := &inventory{initial: map[string]int32{}, stock: map[string]int32{}, held: map[int64]*reservation{}}
	for _, sku := range skus {
		i.initial[sku] = int32(w.dice.IntN(30))
		i.stock[sku] = i.initial[sku]
	}
	i.service = newService(w, "inventory", i.handle)
	return i
}

func (i *inventory) handle(m contracts.Message) []contracts.Message {
	switch m := m.(type) {
	case contracts.ReserveInventory:
		return []contracts.Message{i.reserve(m)}
	case contracts.ReleaseInventory:
		i.release(m.OrderID)
		return []contracts.Message{contracts.InventoryReleased{Envelope: i.w.envelope(m.OrderID, contracts.TypeInventoryReleased, m)}}
	}
	return nil
}

func (i *inventory) reserve(m contracts.ReserveInventory) contracts.Message {
	reject := func(why string) contracts.Message {
		i.w.result.Faults.Rejections++
		return contracts.InventoryRejected{Envelope: i.w.envelope(m.OrderID, contracts.TypeInventoryRejected, m), Reason: why}
	}
	r, known := i.held[m.OrderID]
	switch {
	case known && !r.live:
		return reject("released before it was reserved")
	case known && i.w.config.Bug != NoDedup:
	case i.stock[m.SKU] < m.Quantity:
		return reject("insufficient stock")
	default:
		if !known {
			r = &reservation{sku: m.SKU}
			i.held[m.OrderID] = r
		}
		r.live = true
		r.quantity += m.Quantity
		r.reserves++
		i.stock[m.SKU] -= m.Quantity
	}
	return contracts.InventoryReserved{Envelope: i.w.envelope(m.OrderID, contracts.TypeInventoryReserved, m), Reserved: true}
}

func (i *inventory) release(id int64) {
	r, known := i.held[id]
	switch {
	case known && r.live:
		i.stock[r.sku] += r.quantity
		r.live = false
		r.releases++
	case !known && i.w.lossy:
		i.held[id] = &reservation{} // a tombstone
	}
}
