package ordersim

import (
	"fmt"
	"strconv"
	"sync"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagasim"
)

// variant is what a version of the order saga has that differs from the one in production.
type variant struct {
	start     contracts.Type
	givenLast bool // the order stands behind the reservation
	deaf      bool // to the answer that an order cannot be confirmed
}

// releases draws what is deployed while a run goes on.
func releases(w *sagasim.World) [][]*saga.Definition {
	first := definitions().now
	if w.Bug() == ContradictionIsIgnored {
		first = definitions().deaf
	}
	switch w.Pick(3) {
	case 0:
		return [][]*saga.Definition{{first}, {first, definitions().givenLast}}
	case 1:
		return [][]*saga.Definition{{first}, {first, definitions().otherStart}}
	}
	return [][]*saga.Definition{{first}}
}

type versions struct{ now, deaf, givenLast, otherStart *saga.Definition }

// definitions are parsed once: they are immutable.
var definitions = sync.OnceValue(func() versions {
	now, err := ordersaga.Definition(timing())
	if err != nil {
		panic(err) // the order saga itself is wrong; its own tests say how
	}
	return versions{
		now:       now,
		deaf:      build(1, variant{start: contracts.TypeOrderCreated, deaf: true}),
		givenLast: build(2, variant{start: contracts.TypeOrderCreated, givenLast: true}),
		// Orders does not send this one yet: its sagas begin on version 1.
		otherStart: build(3, variant{start: "OrderPlaced"}),
	}
})

// build writes a version of the order saga down.
func build(version int, v variant) *saga.Definition {
	s := saga.Define[ordersaga.Order](ordersaga.Name, version)
	s.StartOn(string(v.start), saga.From(func(m contracts.OrderCreated) ordersaga.Order {
		return ordersaga.Order{OrderID: m.OrderID, UserID: m.UserID, SKU: m.SKU, Quantity: m.Quantity, Items: m.Items}
	}))
	s.CancelOn(string(contracts.TypeOrderCancelRequested), cancelWindow, nil)
	s.RefuseCancel(string(contracts.TypeRefuseCancel), func(c call) (any, error) {
		id, err := strconv.ParseInt(c.Saga, 10, 64)
		c.Data.OrderID = id
		return contracts.RefuseCancel{Envelope: envelope(c), Reason: c.Reason}, err
	})
	s.Ends("CONFIRMED", "CANCELLED")
	saga.Attribute(s, "sku", func(o ordersaga.Order) string { return o.SKU })
	t := timing()
	patient := saga.RetryPolicy{Timeout: t.ReplyWithin, MaxAttempts: 8, MaxInterval: 4 * t.ReplyWithin}
	given := func() {
		s.Step("order").AlreadyDone("Orders has accepted it").Undo(string(contracts.TypeCancelOrder), func(c call) (any, error) {
			return contracts.CancelOrder{Envelope: envelope(c), Reason: c.Reason}, nil
		}, string(contracts.TypeOrderCancelled), patient)
	}
	if !v.givenLast {
		given()
	}
	s.Step("reserve").Send(string(contracts.TypeReserveInventory), func(c call) (any, error) {
		return contracts.ReserveInventory{Envelope: envelope(c), SKU: c.Data.SKU, Quantity: c.Data.Quantity, Items: c.Data.Items}, nil
	}).
		Success(string(contracts.TypeInventoryReserved)).
		Failure(string(contracts.TypeInventoryRejected), nil).
		Wait(saga.RetryPolicy{Timeout: t.ReserveWithin, MaxAttempts: t.ReserveAttempts, MaxInterval: 4 * t.ReserveWithin}, "inventory did not answer").
		Undo(string(contracts.TypeReleaseInventory), func(c call) (any, error) {
			return contracts.ReleaseInventory{Envelope: envelope(c)}, nil
		}, string(contracts.TypeInventoryReleased), patient)
	if v.givenLast {
		given()
	}
	confirm := s.Step("confirm").Send(string(contracts.TypeConfirmOrder), func(c call) (any, error) {
		return contracts.ConfirmOrder{Envelope: envelope(c)}, nil
	}).
		Success(string(contracts.TypeOrderConfirmed)).
		RetryForever(patient).
		NoUndo("cancelling the order takes its confirmation back")
	if !v.deaf {
		confirm.Failure(string(contracts.TypeOrderCancelled), nil)
	}
	d, err := s.Build()
	if err != nil {
		panic(fmt.Errorf("version %d of the simulated order saga: %w", version, err))
	}
	return d
}

type call = saga.Call[ordersaga.Order]

func envelope(c call) contracts.Envelope {
	return contracts.Envelope{EventID: c.ID, Time: c.At, OrderID: c.Data.OrderID, CausationID: c.Cause}
}
