package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
)

// ErrNotAwaited says that no definition awaits events of a message's type.
var ErrNotAwaited = errors.New("no saga awaits events of this type")

// DeliverEvent applies an event that sagas await ([saga.Step.Await]) and that comes by another way
// than Kafka, an approval over HTTP for instance, in a transaction of its own: to every saga with
// its Key. Its ID identifies it: what was delivered before, whether by DeliverEvent or by Kafka, is
// not applied again, and DeliverEvent returns false.
//
// The errors are [ErrNotAwaited], [saga.ErrUnknownSaga] where no saga has begun under the key, and
// those of the definition's functions.
func (r *Runner) DeliverEvent(ctx context.Context, m saga.Message) (applied bool, err error) {
	if m.ID == uuid.Nil || !r.registry.Awaits(m.Type) {
		return false, fmt.Errorf("deliver %s: %w", m.Type, ErrNotAwaited)
	}
	for {
		applied, err := r.deliverEvent(ctx, m)
		if !conflict(err) || ctx.Err() != nil {
			return applied, err
		}
		// A message was faster: decide again about what it left.
	}
}

func (r *Runner) deliverEvent(ctx context.Context, m saga.Message) (applied bool, err error) {
	a := r.apply(nil)
	err = pgx.BeginFunc(ctx, r.operators, func(tx pgx.Tx) error {
		entry := inbox.Entry{EventID: m.ID, Content: m.Data, Delivery: inbox.Delivery{
			Topic: "http", Key: []byte(m.Key), Headers: []inbox.Header{{Key: cloudevents.HeaderType, Value: []byte(m.Type)}},
		}}
		fresh, err := inbox.Accept(ctx, tx, r.inbox.Consumer, []inbox.Entry{entry})
		if err != nil || len(fresh) == 0 {
			return err
		}
		applied = true
		var reads pgx.Batch
		a.loaded = r.store.Load(&reads, []string{m.Key})
		if err := tx.SendBatch(ctx, &reads).Close(); err != nil {
			return err
		}
		if err := a.message(m, nil, r.store.Now()); err != nil {
			return err
		}
		return a.write(ctx, &inbox.Tx{Tx: tx})
	})
	if err != nil {
		return false, fmt.Errorf("deliver %s: %w", m.Type, err)
	}
	a.report() //nolint:contextcheck // it only asks whether debug lines are wanted
	return applied, nil
}
