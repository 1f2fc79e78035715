package saga

import (
	"errors"
	"fmt"
	"time"
)

// Apply is [Definition.Apply] with the definition that the saga, or the
// message that starts it, belongs to.
//
// A saga whose version is not registered here may be known to another
// orchestrator, in a deployment that replaces one by the other: what it is sent
// is held, and it is due at once for an orchestrator that knows it. If nobody has taken it
// when its deadline is given here ([Due]), nobody knows it: a saga that has not
// ended is suspended and shown as such until an orchestrator does; one that has ended
// stays as it is, and what was held is refused. The next input at an
// orchestrator that knows the version lets the saga go on, first with what was
// held. So there can be several decisions, in order; the last has the final
// state.
func (r *Registry) Apply(s State, in Input, now time.Time) ([]Decision, error) {
	d, chosen := r.choose(s, in)
	if d != nil {
		if by, suspended := r.suspension(d); suspended {
			return r.withoutRunning(d, s, in, by, now)
		}
	}
	if s.Phase == Suspended && s.SuspendedBy != "" {
		return r.whileSuspended(d, s, in, now)
	}
	s = chosen
	switch {
	case d == nil && !s.Exists():
		return nil, ErrUnknownSaga
	case d == nil:
		return r.withoutDefinition(s, in, now)
	case s.Phase == Suspended || len(s.Held) > 0:
		return r.resume(d, s, in, now)
	}
	return r.applyKnown(d, s, in, now)
}

// applyKnown applies an input to a saga of a definition that is registered here.
func (r *Registry) applyKnown(d *Definition, s State, in Input, now time.Time) ([]Decision, error) {
	if m, ok := in.(Message); ok && !d.handles[m.Type] {
		return nil, r.foreign(d, m)
	}
	decisions, err := d.applyAll(s, in, now)
	if err != nil || len(decisions) == 0 || !s.notBegun() {
		return decisions, err
	}
	begun := &decisions[len(decisions)-1]
	if begun.State.notBegun() {
		return decisions, nil
	}
	early := begun.State.Early
	begun.State.Early = nil
	return r.applyHeld(decisions, early, now), nil
}

// applyHeld applies what was held for a saga after other decisions about it. What cannot be applied
// must not hold up what follows, nor be lost: it counts as handled since it was held.
func (r *Registry) applyHeld(decisions []Decision, held []Message, now time.Time) []Decision {
	for _, m := range held {
		d, s := r.choose(decisions[len(decisions)-1].State, m)
		more, err := r.applyKnown(d, s, m, now)
		if err != nil {
			last := &decisions[len(decisions)-1]
			last.Refused = append(last.Refused, Refusal{m, err})
		}
		decisions = append(decisions, more...)
	}
	return decisions
}

// foreign is for a message that the saga's version does not know. A reply to
// another version's command is nobody's; but who starts or cancels sagas of
// another version must learn that this one is of an older or a newer one.
func (r *Registry) foreign(d *Definition, m Message) error {
	if other, ok := r.begins[m.Type]; ok && other.name == d.name {
		return fmt.Errorf("%w: %s is for version %d, and saga %s is of version %d", ErrStartConflict, m.Type, other.version, m.Key, d.version)
	}
	return nil
}

// choose finds the definition that s, or the message that starts it, belongs
// to. A saga of which only a cancellation has come belongs to the version that
// the start belongs to.
func (r *Registry) choose(s State, in Input) (*Definition, State) {
	m, _ := in.(Message)
	first, starts := r.begins[m.Type]
	starts = starts && first.start.message == m.Type
	early := s.notBegun() || s.Phase == Suspended && s.SuspendedFrom == AwaitingStart
	switch {
	case !s.Exists() && first == nil:
		return r.sender(m), s
	case !s.Exists():
		return first, s
	case early && starts && first.name == s.Definition:
		s.Version, s.Steps = first.version, make([]StepState, len(first.steps))
		return first, s
	}
	d, _ := r.Definition(s.Definition, s.Version)
	return d, s
}

// applyAll applies an input, a deadline as often as there are waits overdue.
func (d *Definition) applyAll(s State, in Input, now time.Time) ([]Decision, error) {
	var decisions []Decision
	for {
		one, err := d.Apply(s, in, now)
		if err != nil {
			return nil, err
		}
		if !one.Changed() {
			return decisions, nil
		}
		decisions, s = append(decisions, one), one.State
		if _, again := in.(Due); !again {
			return decisions, nil
		}
	}
}

// keptHeld bounds what is held for one saga.
const keptHeld = 100

// ErrNotRegistered says that a message was held for a saga whose definition nobody knows.
var ErrNotRegistered = errors.New("the saga's definition is not registered")

// withoutDefinition is what can be done for a saga whose version is not
// registered here.
func (r *Registry) withoutDefinition(s State, in Input, now time.Time) ([]Decision, error) {
	unknown := fmt.Sprintf("definition %s version %d is not registered", s.Definition, s.Version)
	switch in := in.(type) {
	case Message:
		return r.hold(nil, s, in, unknown+" here", now)
	case Due:
		return unclaimed(s, unknown, now)
	}
	return nil, fmt.Errorf("%w: %s", ErrSuspended, unknown)
}

// unclaimed is what becomes of a saga that nobody who knows its version has
// looked at. Its deadlines stay as they are: they come due for an orchestrator that does.
func unclaimed(s State, unknown string, now time.Time) ([]Decision, error) {
	next := s.clone()
	switch {
	case s.Phase == Suspended:
		return nil, nil
	case s.Phase.Ended():
		next.Held = nil
		d := rephase(s, next, SuspendedSaga, "deadline", unknown+fmt.Sprintf("; %d messages that came after the end are set aside", len(s.Held)), now)
		for _, m := range s.Held {
			d.Refused = append(d.Refused, Refusal{m, fmt.Errorf("%w: %s", ErrNotRegistered, unknown)})
		}
		return []Decision{d}, nil
	}
	next.Phase, next.SuspendedFrom = Suspended, s.Phase
	return []Decision{rephase(s, next, SuspendedSaga, "deadline", unknown, now)}, nil
}

// resume lets a saga go on whose definition is here, first with what was held.
func (r *Registry) resume(d *Definition, s State, in Input, now time.Time) ([]Decision, error) {
	if err := moved(s, in); err != nil {
		return nil, err
	}
	next, held := s.clone(), s.Held
	next.Held = nil
	next.resumed(now)
	first := rephase(s, next, Resumed, in.cause().Type, fmt.Sprintf("%d held messages follow", len(held)), now)
	first.Transition.To = d.StateName(next.Phase)
	first.Transition.From = first.Transition.To
	resume, byOperator := in.(Resume)
	if byOperator {
		first.Transition.Cause, first.Transition.From = resume.cause(), string(s.Phase)
		first.Transition.Note = Text(resume.Reason + "; " + first.Transition.Note)
	}
	decisions := r.applyHeld([]Decision{first}, held, now)
	if byOperator {
		return decisions, nil
	}
	if i, ok := in.(Intervention); ok && i.Intervener().Seen != 0 {
		if len(held) > 0 {
			return nil, fmt.Errorf("%w: messages that were held for it are applied first", ErrMoved)
		}
		in = checked{i}
	}
	d, s = r.choose(decisions[len(decisions)-1].State, in)
	more, err := r.applyKnown(d, s, in, now)
	if err != nil {
		return nil, err
	}
	return append(decisions, more...), nil
}

// rephase is a decision that changes nothing but whether the saga is suspended,
// or what is held for it. It does not name the message that it is about: the
// transition that applies the message does, and is the only one.
func rephase(s, next State, kind Kind, cause, note string, now time.Time) Decision {
	next.Revision = s.Revision + 1
	next.UpdatedAt = now.UTC()
	return Decision{State: next, Transition: Transition{
		Seq: next.Revision, Kind: kind, At: now.UTC(), From: string(s.Phase), To: string(next.Phase), Cause: Cause{Type: cause}, Note: note,
	}}
}
