// Package postgres keeps sagas in Postgres: it loads those that a batch of
// inputs is for, lets the engine decide, and writes states, histories and
// commands in the caller's transaction.
//
// The statements of a batch are as many as of a single input: sagas are loaded
// by one, and written by one insert, one update and one insert of transitions
// that travel together. They are queued, so that the caller decides what else
// goes the same way.
package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill/orchestrator/saga"
	"waybill/outbox"
)

// SchemaVersion is the version of the migration set "orchestrator" that this package needs.
const SchemaVersion = 2

// Store applies inputs to sagas and reads them. It is safe for concurrent use,
// by several processes as well.
type Store struct {
	Pool     *pgxpool.Pool
	Registry *saga.Registry
	// Encode turns a command into a message for the outbox.
	Encode func(saga.Command) (outbox.Message, error)
	Log    *slog.Logger
	// Observe, if set, is told of each decision. A batch that is rolled back and
	// tried again is told of twice.
	Observe func(saga.State, saga.Transition)
	// Unknown, if set, is told of each message for a saga that does not exist.
	Unknown func(saga.Message)
}

// Event is an input and the saga that it is for.
type Event struct {
	Saga  string
	Input saga.Input
}

// Decide lets the engine decide about each event in turn and queues what writes it. It returns the messages to append to
// the outbox in the same transaction. An error of the engine means that an event can never be applied; the caller finds
// out which by applying them one by one. What is queued fails with a serialization failure if a saga was changed by
// someone else after it was loaded.
func (s *Store) Decide(batch *pgx.Batch, loaded Loaded, events []Event, now time.Time) ([]outbox.Message, error) {
	w := s.work(loaded)
	for _, e := range events {
		if err := w.apply(e, now); err != nil {
			return nil, err
		}
	}
	if err := w.save(batch); err != nil {
		return nil, err
	}
	return w.messages, nil
}

func (s *Store) work(loaded Loaded) work {
	w := work{store: s, sagas: loaded, before: make(map[string]int, len(loaded))}
	for id, state := range loaded {
		w.before[id] = state.Revision
	}
	return w
}

// work is one batch of events.
type work struct {
	store    *Store
	sagas    Loaded
	before   map[string]int // revisions as loaded
	changed  []string       // ids, each once, in the order of their first change
	history  []transition
	messages []outbox.Message
}

type transition struct {
	saga string
	saga.Transition
}

func (w *work) apply(e Event, now time.Time) error {
	state := w.sagas[e.Saga]
	decisions, err := w.store.Registry.Apply(state, e.Input, now)
	if errors.Is(err, saga.ErrUnknownSaga) {
		if m, ok := e.Input.(saga.Message); ok {
			w.unknown(m)
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("apply to saga %s: %w", e.Saga, err)
	}
	messages, err := w.encode(decisions)
	if err != nil {
		return fmt.Errorf("apply to saga %s: %w", e.Saga, err)
	}
	w.messages = append(w.messages, messages...)
	for _, d := range decisions {
		if d.State.Revision == w.before[e.Saga]+1 {
			w.changed = append(w.changed, e.Saga)
		}
		w.sagas[e.Saga] = d.State
		w.history = append(w.history, transition{e.Saga, d.Transition})
		if w.store.Observe != nil {
			w.store.Observe(d.State, d.Transition)
		}
	}
	return nil
}

// encode makes messages of all commands before anything is noted down, so that
// an error leaves nothing behind.
func (w *work) encode(decisions []saga.Decision) ([]outbox.Message, error) {
	var messages []outbox.Message
	for _, d := range decisions {
		for _, c := range d.Commands {
			m, err := w.store.Encode(c)
			if err != nil {
				return nil, err
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// unknown leaves a trace of a message that belongs to no saga: it may be for
// one that has expired, or of another system that shares the topics.
func (w *work) unknown(m saga.Message) {
	w.store.Log.Debug("message for a saga that does not exist", "saga", m.Key, "type", m.Type, "event_id", m.ID)
	if w.store.Unknown != nil {
		w.store.Unknown(m)
	}
}
