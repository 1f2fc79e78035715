package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/contracts"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
	"waybill.example/sdk/tracecontext"
)

// Group is the consumer group, and the name in the inbox.
const Group = contracts.GroupOrchestrator

// Sagas is what an orchestrator runs: the definitions, the topics that their
// messages come on, and the way between those messages and the engine's.
type Sagas struct {
	Registry *saga.Registry
	Topics   []string
	// Decode reads a delivery. An error that wraps inbox.ErrSkip leaves it alone,
	// any other makes it a dead letter.
	Decode func(inbox.Delivery) (uuid.UUID, saga.Message, error)
	// Encode makes a message for the outbox out of a command.
	Encode func(saga.Command) (outbox.Message, error)
	// SetAside makes the dead letter of a message that was held for a saga and
	// that the saga cannot apply.
	SetAside func(saga.Message, error) outbox.Message
}

// OrderSagas is what the orchestrator of the order flow runs. A new version of
// a definition is added beside the old, which stays until its last saga has
// ended.
func OrderSagas(t ordersaga.Timing) (Sagas, error) {
	order, err := ordersaga.Definition(t)
	if err != nil {
		return Sagas{}, err
	}
	registry, err := saga.NewRegistry(order)
	return Sagas{
		Registry: registry,
		Topics:   []string{contracts.TopicOrders, contracts.TopicInventory},
		Decode:   decode(registry),
		Encode:   encode,
		SetAside: setAside,
	}, err
}

// decode turns a delivery of the order topics into a message for the engine.
// One that means nothing to any definition is skipped, unless it answers a
// command: then a newer version of a definition may know it, on another
// orchestrator, and a saga of that version may be waiting for it.
func decode(r *saga.Registry) func(inbox.Delivery) (uuid.UUID, saga.Message, error) {
	return func(d inbox.Delivery) (uuid.UUID, saga.Message, error) {
		m, err := contracts.Decode(d.Topic, d.Value, d.Header)
		if errors.Is(err, contracts.ErrUnknownType) {
			message, ok := ordersaga.Unknown(d.Key, d.Value, d.Header)
			if !ok {
				return uuid.Nil, saga.Message{}, fmt.Errorf("%w: %w", inbox.ErrSkip, err)
			}
			message.Source = source(d)
			return message.ID, message, nil
		}
		if err != nil {
			return uuid.Nil, saga.Message{}, err
		}
		message := ordersaga.Message(m, d.Value, d.Header(tracecontext.Header))
		message = ordersaga.Answering(message, d.Header(contracts.HeaderInReplyTo))
		message.Source = source(d)
		if message.CausationID == uuid.Nil && ordersaga.IsReply(m.Meta().Type) {
			return uuid.Nil, saga.Message{}, &contracts.FieldError{Field: "causationId", Problem: "is missing: a reply names its command"}
		}
		if !r.Handles(message.Type) && message.CausationID == uuid.Nil {
			return uuid.Nil, saga.Message{}, inbox.ErrSkip
		}
		return message.ID, message, nil
	}
}

// source says where a message stood, in a form that setAside reads.
func source(d inbox.Delivery) string {
	return fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset)
}

// setAside makes the dead letter of a message that had been held for a saga.
func setAside(m saga.Message, reason error) outbox.Message {
	d := inbox.Delivery{Key: []byte(m.Key), Value: m.Data, Headers: []inbox.Header{
		{Key: contracts.HeaderID, Value: []byte(m.ID.String())}, {Key: contracts.HeaderType, Value: []byte(m.Type)},
	}}
	if parts := strings.Split(m.Source, "/"); len(parts) == 3 {
		partition, _ := strconv.ParseInt(parts[1], 10, 32) // ours, or 0
		d.Topic, d.Partition = parts[0], int32(partition)
		d.Offset, _ = strconv.ParseInt(parts[2], 10, 64)
	} else {
		d.Topic, _ = contracts.TopicOf(contracts.Type(m.Type))
	}
	return inbox.DeadLetter(d, Group, reason)
}

func encode(c saga.Command) (outbox.Message, error) {
	record, err := ordersaga.Encode(c)
	return outbox.Message(record), err
}

// newProcessor applies batches of messages to the sagas of a store.
func newProcessor(st *store.Store, decode func(inbox.Delivery) (uuid.UUID, saga.Message, error), observe func(inbox.Outcome), log *slog.Logger) *inbox.Processor[saga.Message, store.Loaded] {
	return &inbox.Processor[saga.Message, store.Loaded]{
		Consumer: Group, DB: st.Pool, Positions: inbox.NewPositions(st.Pool, Group),
		Decode: decode, Content: func(d inbox.Delivery) []byte { return contracts.Content(d.Value) },
		Load: func(reads *pgx.Batch, received []inbox.Received[saga.Message]) *store.Loaded {
			ids := make([]string, len(received))
			for i, r := range received {
				ids[i] = r.Message.Key
			}
			sagas := st.Load(reads, ids)
			return &sagas
		},
		Apply: func(_ context.Context, tx *inbox.Tx, sagas *store.Loaded, received []inbox.Received[saga.Message]) ([]outbox.Message, error) {
			events := make([]store.Event, len(received))
			for i, r := range received {
				events[i] = store.Event{Input: r.Message, Partition: &received[i].Delivery.Partition}
			}
			decided, err := st.Decide(&tx.Last, *sagas, events, st.Now(), tx.Reject)
			if err != nil {
				return nil, err
			}
			tx.AfterCommit(decided.Report)
			return decided.Messages, nil
		},
		Observe: observe, Health: &inbox.Health{}, Log: log,
	}
}
