package ordersim

import (
	"fmt"
	"maps"
	"time"

	"waybill.example/contracts"
	"waybill.example/inventory/stock"
	"waybill.example/sdk/saga/sagasim"
)

// inventoryDB is the database of Inventory.
type inventoryDB struct {
	f            *flow
	onHand       map[string]int64
	reservations map[int64]stock.Reservation
}

// Clone implements [sagasim.Database].
func (i *inventoryDB) Clone() sagasim.Database {
	return &inventoryDB{i.f, maps.Clone(i.onHand), maps.Clone(i.reservations)}
}

// Handle implements [sagasim.Database]: it is what the consumer of Inventory does.
func (i *inventoryDB) Handle(m sagasim.Message, now time.Time) ([]sagasim.Message, error) {
	var command stock.Command
	switch c := m.Body.(type) {
	case contracts.ReserveInventory:
		command = stock.Command{Action: stock.Reserve, OrderID: c.OrderID, Lines: c.Lines()}
	case contracts.ReleaseInventory:
		command = stock.Command{Action: stock.Release, OrderID: c.OrderID}
	default:
		return nil, fmt.Errorf("%s is no command to inventory", m.Type)
	}
	known := stock.Known{OnHand: map[string]int64{}}
	if r, ok := i.reservations[command.OrderID]; ok && i.f.w.Bug() != ReservationIsForgotten {
		known.Reservations = []stock.Reservation{r}
		i.look(known.OnHand, r.Lines)
	}
	i.look(known.OnHand, command.Lines)
	decision := stock.Decide(known, []stock.Command{command})
	if command.Action == stock.Reserve || i.f.w.Bug() != ReleaseIsForgotten {
		i.save(decision, now)
	}
	reply := decision.Replies[0]
	event := reply.Event(command.OrderID, known.Since(now)(reply, command.OrderID))
	return []sagasim.Message{i.f.answer(event, m.ID, reply.Outcome != stock.Decided)}, nil
}

// look adds what there is of the lines' skus.
func (i *inventoryDB) look(found map[string]int64, lines []stock.Line) {
	for _, line := range lines {
		if level, ok := i.onHand[line.SKU]; ok {
			found[line.SKU] = level
		}
	}
}

func (i *inventoryDB) save(d stock.Decision, now time.Time) {
	if len(d.Released) > 0 && i.f.w.Bug() == OneLineIsReleased {
		d.Moves = d.Moves[:1]
	}
	for _, m := range d.Moves {
		i.onHand[m.SKU] += m.Delta
	}
	for _, r := range d.Added {
		r.UpdatedAt = now
		i.reservations[r.OrderID] = r
	}
	for _, id := range d.Released {
		r := i.reservations[id]
		r.State, r.UpdatedAt = stock.Released, now
		i.reservations[id] = r
	}
}
