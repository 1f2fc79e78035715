package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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

// source says where a message was, in a form that delivery reads.
func source(d inbox.Delivery) string {
	return d.Topic + "/" + strconv.Itoa(int(d.Partition)) + "/" + strconv.FormatInt(d.Offset, 10)
}

// refusal is a message that had been kept for a saga, and cannot be applied.
type refusal struct {
	id     uuid.UUID
	from   *inbox.Delivery // nil: it did not come from Kafka
	reason error
}

// delivery makes of a message that was kept for a saga what Kafka had delivered, as far as it is
// known: such that it is read as this message again. One that did not come from Kafka has none.
func (r *Runner) delivery(m saga.Message) *inbox.Delivery {
	parts := strings.Split(m.Source, "/")
	if len(parts) != 3 {
		return nil
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return nil
	}
	offset, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return nil
	}
	d := &inbox.Delivery{Topic: parts[0], Partition: int32(partition), Offset: offset, Key: []byte(m.Key), Value: m.Data, Time: m.Time}
	// The id of an answer that was sent again is made of its own and the command's, by codecs
	// whose messages have their own id in the body.
	for _, again := range []bool{false, true} {
		d.Headers = headers(m, again)
		if read, err := r.codec.Decode(*d); err == nil && read.ID == m.ID {
			return d
		}
	}
	d.Headers = headers(m, false)
	return d
}

func headers(m saga.Message, again bool) []inbox.Header {
	all := map[string]string{}
	if m.CausationID != uuid.Nil {
		all = cloudevents.ReplyHeaders(m.CausationID, again, m.Trace)
	}
	all[cloudevents.HeaderID], all[cloudevents.HeaderType] = m.ID.String(), m.Type
	if !m.Time.IsZero() {
		all[cloudevents.HeaderTime] = m.Time.UTC().Format(time.RFC3339Nano)
	}
	list := make([]inbox.Header, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, inbox.Header{Key: name, Value: []byte(all[name])})
	}
	return list
}
