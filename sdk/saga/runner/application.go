package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
	"waybill.example/sdk/tracecontext"
)

// application applies a batch of inputs to the sagas that were loaded for them, in memory, and
// collects what has to be written. An input that fails leaves nothing behind.
type application struct {
	*Runner
	loaded     store.Loaded // as the sagas are after the inputs so far
	changes    []*store.Change
	changed    map[saga.Ref]*store.Change // the same, by saga
	history    []store.Record
	states     []saga.State // beside history
	partitions map[saga.Ref]*int32
	messages   []outbox.Message
	pending    []localCommand // to be carried out here
	unknown    []saga.Message
	rejected   []error
	refused    []refusal // messages that had been kept for a saga, and are dead letters now
}

func (r *Runner) apply(loaded store.Loaded) *application {
	return &application{
		Runner: r, loaded: loaded, changed: make(map[saga.Ref]*store.Change, len(loaded)), partitions: map[saga.Ref]*int32{},
	}
}

// state is a saga as it is now; the zero value if it does not exist.
func (a *application) state(ref saga.Ref) saga.State {
	for _, s := range a.loaded[ref.ID] {
		if s.Definition == ref.Definition {
			return s
		}
	}
	return saga.State{}
}

// message applies a message to the sagas that it is for: all of them take it, or none. The
// partition is where it came from, or nil.
func (a *application) message(m saga.Message, partition *int32, now time.Time) error {
	if m.Key == "" && a.registry.Handles(m.Type) {
		return fmt.Errorf("%s has no key, which is the saga's id", m.Type)
	}
	refs, err := a.registry.Route(a.loaded[m.Key], m)
	if err != nil && !errors.Is(err, saga.ErrUnknownSaga) {
		return err
	}
	var outcomes []outcome
	for _, ref := range refs {
		one, err := a.decide(ref, m, now)
		switch {
		case err == nil:
			outcomes = append(outcomes, one)
		case !errors.Is(err, saga.ErrUnknownSaga):
			return err
		}
	}
	if len(outcomes) == 0 && a.registry.Awaits(m.Type) {
		// It may have overtaken the start: set aside it can be delivered again, counted it would be
		// lost.
		return fmt.Errorf("%w: no saga of the key %q has begun that awaits %s", saga.ErrUnknownSaga, m.Key, m.Type)
	}
	if len(outcomes) == 0 {
		a.unknown = append(a.unknown, m)
	}
	for _, one := range outcomes {
		if partition != nil {
			a.partitions[one.ref] = partition
		}
		a.take(one)
	}
	return nil
}

// input applies what happened to one saga.
func (a *application) input(ref saga.Ref, in saga.Input, now time.Time) error {
	one, err := a.decide(ref, in, now)
	if err != nil {
		return err
	}
	a.take(one)
	return nil
}

// outcome is what an input to one saga leads to.
type outcome struct {
	ref       saga.Ref
	decisions []saga.Decision
	messages  []outbox.Message
	local     []localCommand
	refused   []refusal
}

// decide lets the engine decide about an input, and leaves nothing behind.
func (a *application) decide(ref saga.Ref, in saga.Input, now time.Time) (one outcome, err error) {
	one.ref = ref
	if one.decisions, err = a.registry.Apply(a.state(ref), in, now); err == nil {
		err = a.commands(&one)
	}
	if err != nil {
		return outcome{}, &applyError{ref, err}
	}
	return one, nil
}

// applyError says of which saga an error is.
type applyError struct {
	ref saga.Ref
	err error
}

func (e *applyError) Error() string { return fmt.Sprintf("apply to saga %s: %v", e.ref, e.err) }
func (e *applyError) Unwrap() error { return e.err }

// take collects what an input led to.
func (a *application) take(one outcome) {
	a.messages, a.pending = append(a.messages, one.messages...), append(a.pending, one.local...)
	a.refused = append(a.refused, one.refused...)
	for _, d := range one.decisions {
		a.decided(one.ref, d)
	}
}

// commands makes messages of all commands that are sent, and collects what had been kept for the
// saga and cannot be applied.
func (a *application) commands(one *outcome) error {
	for _, d := range one.decisions {
		for _, r := range d.Refused {
			a.log.Error("suspended message cannot be applied", "saga", one.ref.String(), "type", r.Message.Type,
				"event_id", r.Message.ID, traceID, tracecontext.TraceID(r.Message.Trace), "error", r.Err)
			one.refused = append(one.refused, refusal{r.Message.ID, a.delivery(r.Message), r.Err})
		}
		for _, c := range d.Commands {
			if do := a.local[c.Type]; do != nil {
				one.local = append(one.local, localCommand{do, c})
				continue
			}
			m, err := a.codec.Encode(one.ref, c)
			if err != nil {
				return err
			}
			one.messages = append(one.messages, m)
		}
	}
	return nil
}

// decided takes one decision in.
func (a *application) decided(ref saga.Ref, d saga.Decision) {
	change, ok := a.changed[ref]
	if !ok {
		change = &store.Change{Before: a.state(ref)}
		a.changed[ref], a.changes = change, append(a.changes, change)
	}
	change.After, change.Partition = d.State, a.partitions[ref]
	if d.Attributes != nil {
		change.Attributes = d.Attributes
	}
	a.history = append(a.history, store.Record{Ref: ref, Transition: d.Transition})
	a.states = append(a.states, d.State)
	list := a.loaded[ref.ID]
	for i := range list {
		if list[i].Definition == ref.Definition {
			list[i] = d.State
			return
		}
	}
	a.loaded[ref.ID] = append(list, d.State)
}

// finish carries out the local commands and queues what writes everything in tx.Last, dead letters
// of what was refused included. It returns
// the messages that have to be appended to the outbox.
func (a *application) finish(ctx context.Context, tx *inbox.Tx, now time.Time) ([]outbox.Message, error) {
	if err := a.carryOut(ctx, tx, now); err != nil {
		return nil, err
	}
	if err := a.store.Save(&tx.Last, a.changes, a.history); err != nil {
		return nil, err
	}
	for _, r := range a.refused {
		if r.from == nil {
			inbox.Forget(&tx.Last, a.inbox.Consumer, r.id)
			continue
		}
		// It was kept as the codec had decoded it.
		from, err := inbox.EncodePayload(ctx, a.inbox.Payloads, *r.from)
		if err != nil {
			return nil, err
		}
		if err := inbox.QueueDeadLetter(&tx.Last, a.inbox.Consumer, from, r.id, r.reason); err != nil {
			return nil, err
		}
		a.messages = append(a.messages, inbox.DeadLetter(from, a.inbox.Consumer, r.reason))
	}
	return a.messages, nil
}

// report notifies the observer of what was decided, once it is committed. A message for a saga that
// does not exist may be for one that has expired, or of another system that shares the topics.
func (a *application) report() {
	a.deadlines.disturb()
	for _, m := range a.unknown {
		if !a.registry.Handles(m.Type) {
			continue // another version's, and of no saga here
		}
		a.log.Debug("message for a saga that does not exist", "saga", m.Key, "type", m.Type,
			"event_id", m.ID, traceID, tracecontext.TraceID(m.Trace))
		if a.observer.Unknown != nil {
			a.observer.Unknown(m)
		}
	}
	if a.observer.Rejected != nil {
		for _, err := range a.rejected {
			a.observer.Rejected(err)
		}
	}
	if a.observer.Transition != nil {
		for i, r := range a.history {
			a.observer.Transition(a.states[i], r.Transition)
		}
	}
	if a.log.Enabled(context.Background(), slog.LevelDebug) {
		a.logTransitions()
	}
}

// traceID is the name of the attribute with the trace that a message or saga belongs to.
const traceID = "trace_id"

func (a *application) logTransitions() {
	for i, r := range a.history {
		a.log.Debug("transition", "saga", r.Ref.String(), "seq", r.Seq, "kind", r.Kind, "from", r.From, "to", r.To,
			"cause", r.Cause.Type, "event_id", r.Cause.ID, traceID, tracecontext.TraceID(a.states[i].Trace))
	}
}
