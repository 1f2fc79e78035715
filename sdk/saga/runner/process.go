package runner

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/cloudevents"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Process applies one batch of messages, of any number of partitions, in one transaction and two
// round trips to the database. When it returns nil the batch is durable, and its offsets may be
// committed; after an error nothing of it has happened, unless the connection broke during the
// commit: in either case it may be tried again.
//
// The messages of one key must be given in their order. A message that can never be applied becomes
// a dead letter, in the same transaction.
func (r *Runner) Process(ctx context.Context, batch []inbox.Delivery) error {
	return r.inbox.Process(ctx, batch)
}

// load queues the read of the sagas that messages are for.
func (r *Runner) load(reads *pgx.Batch, received []inbox.Received[saga.Message]) *store.Loaded {
	ids := make([]string, len(received))
	for i, m := range received {
		ids[i] = m.Message.Key
	}
	loaded := r.store.Load(reads, ids)
	return &loaded
}

// applyMessages applies the messages that are new.
func (r *Runner) applyMessages(ctx context.Context, tx *inbox.Tx, loaded *store.Loaded, received []inbox.Received[saga.Message]) ([]outbox.Message, error) {
	a, now := r.apply(*loaded), r.store.Now()
	for i, m := range received {
		if err := a.message(m.Message, &received[i].Delivery.Partition, now); err != nil {
			tx.Reject(i, err)
			a.rejected = append(a.rejected, err)
		}
	}
	messages, err := a.finish(ctx, tx, now)
	if err != nil {
		return nil, err
	}
	tx.AfterCommit(a.report)
	return messages, nil
}

// Reject makes one message a dead letter, in a transaction of its own: it is for a message that
// Process refuses again and again although nothing is wrong with the database.
func (r *Runner) Reject(ctx context.Context, d inbox.Delivery, reason error) error {
	return r.inbox.Reject(ctx, d, reason)
}

// decode turns a delivery into a message for the engine. One of a type that no definition knows is
// skipped, unless it answers a command: then a newer version of a definition may know it, in
// another process, and a saga of that version may be waiting for it.
func (r *Runner) decode(d inbox.Delivery) (uuid.UUID, saga.Message, error) {
	m, err := r.codec.Decode(d)
	foreign := m.Type != "" && !r.registry.Handles(m.Type) && m.CausationID == uuid.Nil
	if foreign && !errors.Is(err, inbox.ErrSkip) {
		return uuid.Nil, saga.Message{}, fmt.Errorf("%w: no saga knows %s", inbox.ErrSkip, m.Type)
	}
	if err != nil {
		return uuid.Nil, saga.Message{}, err
	}
	m.Source = source(d)
	return m.ID, m, nil
}

// source says where a message was, in a form that deadLetter reads.
func source(d inbox.Delivery) string {
	return d.Topic + "/" + strconv.Itoa(int(d.Partition)) + "/" + strconv.FormatInt(d.Offset, 10)
}

// deadLetter makes the dead letter of a message that was kept for a saga whose definition was not
// registered, and that the saga cannot apply. It has recorded where the message came from; one that
// did not come from Kafka has none.
func (r *Runner) deadLetter(m saga.Message, reason error) (outbox.Message, bool) {
	parts := strings.Split(m.Source, "/")
	if len(parts) != 3 {
		return outbox.Message{}, false
	}
	d := inbox.Delivery{Topic: parts[0], Key: []byte(m.Key), Value: m.Data, Headers: []inbox.Header{
		{Key: cloudevents.HeaderID, Value: []byte(m.ID.String())}, {Key: cloudevents.HeaderType, Value: []byte(m.Type)},
	}}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return outbox.Message{}, false
	}
	d.Partition = int32(partition)
	if d.Offset, err = strconv.ParseInt(parts[2], 10, 64); err != nil {
		return outbox.Message{}, false
	}
	return inbox.DeadLetter(d, r.inbox.Consumer, reason), true
}
