package embedded

import (
	"context"

	"waybill.example/contracts"
	"waybill.example/orders/internal/postgres"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
)

// Only the saga changes an order, so what it says needs no check.
const (
	confirmSQL = `
with changed as (update orders set status = 'CONFIRMED', updated_at = now() where id = any ($1::bigint[]))
select ` + postgres.NotifySQL
	cancelSQL = `
with changed as (
    update orders set status = 'CANCELLED', reason = nullif(change.reason, ''), updated_at = now()
    from unnest($1::bigint[], $2::text[]) as change (id, reason) where orders.id = change.id)
select ` + postgres.NotifySQL
	refuseSQL = `
with changed as (
    update orders set cancel_refused = nullif(change.reason, '')
    from unnest($1::bigint[], $2::text[]) as change (id, reason) where orders.id = change.id)
select ` + postgres.NotifySQL
)

// local carries out the commands of the saga that are this service's own. Clients that wait for an
// order learn that it has changed.
type local struct{ changed func(ids ...int64) }

// confirm carries out ConfirmOrder.
func (l local) confirm(_ context.Context, tx *inbox.Tx, commands []saga.Command) ([]saga.Message, error) {
	ids, _ := wanted(commands)
	tx.Last.Queue(confirmSQL, ids)
	tx.AfterCommit(func() { l.changed(ids...) })
	return replies(commands, contracts.TypeOrderConfirmed)
}

// cancel carries out CancelOrder.
func (l local) cancel(_ context.Context, tx *inbox.Tx, commands []saga.Command) ([]saga.Message, error) {
	ids, reasons := wanted(commands)
	tx.Last.Queue(cancelSQL, ids, reasons)
	tx.AfterCommit(func() { l.changed(ids...) })
	return replies(commands, contracts.TypeOrderCancelled)
}

// refuse carries out RefuseCancel, to which no reply is expected.
func (l local) refuse(_ context.Context, tx *inbox.Tx, commands []saga.Command) ([]saga.Message, error) {
	ids, reasons := wanted(commands)
	tx.Last.Queue(refuseSQL, ids, reasons)
	tx.AfterCommit(func() { l.changed(ids...) })
	return nil, nil
}

// wanted is which orders commands are about, and the reasons that they give.
func wanted(commands []saga.Command) (ids []int64, reasons []string) {
	ids, reasons = make([]int64, len(commands)), make([]string, len(commands))
	for i, c := range commands {
		switch body := c.Body.(type) {
		case contracts.ConfirmOrder:
			ids[i] = body.OrderID
		case contracts.CancelOrder:
			ids[i], reasons[i] = body.OrderID, body.Reason
		case contracts.RefuseCancel:
			ids[i], reasons[i] = body.OrderID, body.Reason
		}
	}
	return ids, reasons
}

func replies(commands []saga.Command, reply contracts.Type) ([]saga.Message, error) {
	all := make([]saga.Message, len(commands))
	for i, c := range commands {
		var err error
		if all[i], err = runner.Reply(c, string(reply), struct{}{}); err != nil {
			return nil, err
		}
	}
	return all, nil
}
