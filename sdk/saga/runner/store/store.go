// Package store keeps sagas in Postgres: it loads those that a batch of
// inputs is for, lets the engine decide, and writes states, histories and
// commands in the caller's transaction.
//
// The statements of a batch are as many as of a single input: sagas are loaded
// by one, and written by one insert, one update and one insert of transitions
// that travel together. They are queued, so that the caller decides what else
// goes the same way.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
)

// SchemaVersion is the version of the migration set "orchestrator" that this package needs.
const SchemaVersion = 5

// Store applies inputs to sagas and reads them. It is safe for concurrent use,
// by several processes as well.
type Store struct {
	// Pool is for the work: messages and deadlines.
	Pool *pgxpool.Pool
	// People, if set, is the pool for what people ask and do, so that they cannot
	// keep the work from its connections; else it is Pool.
	People   *pgxpool.Pool
	Registry *saga.Registry
	// Encode turns a command into a message for the outbox.
	Encode func(saga.Command) (outbox.Message, error)
	// SetAside makes the dead letter of a message that was held for a saga and
	// that it cannot apply. If it is nil such messages are logged only.
	SetAside func(saga.Message, error) outbox.Message
	// Consumer is the name under which messages are recorded in the inbox. One that
	// was held was recorded; when it is set aside it is no longer.
	Consumer string
	Log      *slog.Logger
	// Observe, if set, is passed each decision after its transaction was committed.
	Observe func(saga.State, saga.Transition)
	// Rejected, if set, is passed the reason for each message that can never be
	// applied, after the transaction that set it aside was committed.
	Rejected func(error)
	// Unknown, if set, is passed each message for a saga that does not exist.
	Unknown func(saga.Message)

	clock clock
}

// ForPeople is the pool for what people ask and do.
func (s *Store) ForPeople() *pgxpool.Pool {
	if s.People != nil {
		return s.People
	}
	return s.Pool
}

// Event is an input and the saga that it is for. A message finds its saga by
// itself.
type Event struct {
	Ref   saga.Ref
	Input saga.Input
	// Partition is where a message came from; nil if that is not known.
	Partition *int32
}

// Decided is what the engine made of a batch of events.
type Decided struct {
	// Messages to append to the outbox in the same transaction.
	Messages []outbox.Message
	// Report is to be called after the commit.
	Report func()
}

// Decide lets the engine decide about each event in turn and queues what writes it. An event that can never be applied is
// passed to reject with its index and leaves nothing behind; where reject is nil, its error is returned. What is queued
// fails with a serialization failure if a saga was changed by someone else after it was loaded.
func (s *Store) Decide(batch *pgx.Batch, loaded Loaded, events []Event, now time.Time, reject func(int, error)) (Decided, error) {
	w := s.work(loaded)
	for i, e := range events {
		err := w.apply(e, now)
		switch {
		case err != nil && reject != nil:
			reject(i, err)
			w.rejected = append(w.rejected, err)
		case err != nil:
			return Decided{}, err
		}
	}
	if err := w.save(batch); err != nil {
		return Decided{}, err
	}
	return Decided{w.messages, w.report}, nil
}

func (s *Store) work(loaded Loaded) *work {
	w := &work{
		store: s, exist: loaded, sagas: make(map[saga.Ref]saga.State, len(loaded)),
		before: make(map[saga.Ref]saga.State, len(loaded)), partitions: map[saga.Ref]*int32{},
	}
	for _, states := range loaded {
		for _, state := range states {
			w.sagas[state.Ref()], w.before[state.Ref()] = state, state
		}
	}
	return w
}

// work is one batch of events.
type work struct {
	store      *Store
	exist      Loaded // as they are after the events so far
	sagas      map[saga.Ref]saga.State
	before     map[saga.Ref]saga.State // as loaded
	partitions map[saga.Ref]*int32
	changed    []saga.Ref // each once, in the order of their first change
	history    []transition
	states     []saga.State // beside history
	messages   []outbox.Message
	unknown    []saga.Message
	rejected   []error
	refused    []uuid.UUID // messages that had been held
}

type transition struct {
	saga saga.Ref
	saga.Transition
}

func (w *work) apply(e Event, now time.Time) error {
	ref := e.Ref
	m, isMessage := e.Input.(saga.Message)
	if isMessage {
		var err error
		ref, err = w.store.Registry.Route(w.exist[m.Key], m)
		if errors.Is(err, saga.ErrUnknownSaga) {
			w.unknown = append(w.unknown, m)
			return nil
		}
		if err != nil {
			return fmt.Errorf("apply to saga %s: %w", m.Key, err)
		}
	}
	decisions, err := w.store.Registry.Apply(w.sagas[ref], e.Input, now)
	if isMessage && errors.Is(err, saga.ErrUnknownSaga) {
		w.unknown = append(w.unknown, m)
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply to saga %s: %w", ref, err)
	}
	messages, err := w.encode(decisions)
	if err != nil {
		return fmt.Errorf("apply to saga %s: %w", ref, err)
	}
	w.messages = append(w.messages, messages...)
	w.partitions[ref] = e.Partition
	for _, d := range decisions {
		w.keep(ref, d)
		for _, r := range d.Refused {
			w.refused = append(w.refused, r.Message.ID)
		}
	}
	return nil
}

func (w *work) keep(ref saga.Ref, d saga.Decision) {
	if d.State.Revision == w.before[ref].Revision+1 {
		w.changed = append(w.changed, ref)
	}
	w.sagas[ref] = d.State
	w.history = append(w.history, transition{ref, d.Transition})
	w.states = append(w.states, d.State)
	list := w.exist[ref.ID]
	for i := range list {
		if list[i].Definition == ref.Definition {
			list[i] = d.State
			return
		}
	}
	w.exist[ref.ID] = append(list, d.State)
}

// encode makes messages of all commands, and dead letters of what had been
// held and cannot be applied, before anything is noted down, so that an error
// leaves nothing behind.
func (w *work) encode(decisions []saga.Decision) ([]outbox.Message, error) {
	var messages []outbox.Message
	for _, d := range decisions {
		for _, r := range d.Refused {
			w.store.Log.Error("held message cannot be applied", "saga", d.State.Ref().String(), "type", r.Message.Type, "event_id", r.Message.ID, "error", r.Err)
			if w.store.SetAside != nil {
				messages = append(messages, w.store.SetAside(r.Message, r.Err))
			}
		}
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

// report says what was decided, once it is committed. A message for a saga that
// does not exist leaves a trace: it may be for one that has expired, or of
// another system that shares the topics.
func (w *work) report() {
	for _, m := range w.unknown {
		if !w.store.Registry.Handles(m.Type) {
			continue // some other version's, and nobody's here
		}
		w.store.Log.Debug("message for a saga that does not exist", "saga", m.Key, "type", m.Type, "event_id", m.ID)
		if w.store.Unknown != nil {
			w.store.Unknown(m)
		}
	}
	if w.store.Rejected != nil {
		for _, err := range w.rejected {
			w.store.Rejected(err)
		}
	}
	if w.store.Observe == nil {
		return
	}
	for i, t := range w.history {
		w.store.Observe(w.states[i], t.Transition)
	}
}
