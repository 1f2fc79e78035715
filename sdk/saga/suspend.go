package saga

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Suspension says that a version of a definition does nothing for now: its sagas are treated as
// where the version is not registered.
type Suspension struct {
	Definition string
	Version    int
	At         time.Time
	By         string
	Reason     string
}

// versionOf names a version of a definition.
type versionOf struct {
	name    string
	version int
}

// Suspend says which versions of definitions are suspended, in place of those that were. Messages
// for their sagas are held, those that start sagas included, and their deadlines do not pass. It
// may be called while the registry is used: the inputs that follow see it.
func (r *Registry) Suspend(list ...Suspension) {
	set := make(map[versionOf]Suspension, len(list))
	for _, s := range list {
		set[versionOf{s.Definition, s.Version}] = s
	}
	if len(set) == 0 {
		r.suspensions.Store(nil)
		return
	}
	r.suspensions.Store(&set)
}

// Suspensions are the versions that are suspended.
func (r *Registry) Suspensions() []Suspension {
	set := r.suspensions.Load()
	if set == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(*set), func(a, b Suspension) int {
		return a.At.Compare(b.At)
	})
}

func (r *Registry) suspension(d *Definition) (Suspension, bool) {
	set := r.suspensions.Load()
	if set == nil {
		return Suspension{}, false
	}
	s, ok := (*set)[versionOf{d.name, d.version}]
	return s, ok
}

func (s Suspension) String() string {
	return fmt.Sprintf("version %d of %s is suspended by %s: %s", s.Version, s.Definition, s.By, s.Reason)
}

// withoutRunning is what can be done for a saga of a version that is suspended.
func (r *Registry) withoutRunning(d *Definition, s State, in Input, by Suspension, now time.Time) ([]Decision, error) {
	if err := moved(s, in); err != nil {
		return nil, err
	}
	m, isMessage := in.(Message)
	switch {
	case isMessage && !s.Exists() && m.Type != d.start.message:
		return r.applyKnown(d, s, in, now) // a cancellation that comes first: it only waits for the start
	case isMessage && !s.Exists():
		next := State{
			ID: m.Key, Definition: d.name, Version: d.version, Phase: Suspended, SuspendedFrom: AwaitingStart,
			SuspendedAt: now.UTC(), Steps: make([]StepState, len(d.steps)), Data: []byte("null"),
			StartedAt: now.UTC(), StartID: m.ID, Trace: m.Trace, Held: []Message{m},
		}
		return []Decision{rephase(s, next, SuspendedSaga, m.Type, by.String()+"; it begins when that is resumed", now)}, nil
	case isMessage:
		return r.hold(d, s, m, by.String(), now)
	}
	switch in := in.(type) {
	case Due:
		if s.Phase == Suspended || s.Phase.Ended() {
			return nil, nil
		}
		next := s.clone()
		next.Phase, next.SuspendedFrom, next.SuspendedAt = Suspended, s.Phase, by.At
		return []Decision{rephase(s, next, SuspendedSaga, in.cause().Type, by.String(), now)}, nil
	case EditData:
		return d.applyAll(s, in, now)
	}
	return nil, fmt.Errorf("%w: %s", ErrSuspended, by)
}

// whileSuspended is what can be done for a saga that an operator has suspended; d is nil where its
// version is not registered.
func (r *Registry) whileSuspended(d *Definition, s State, in Input, now time.Time) ([]Decision, error) {
	switch in := in.(type) {
	case Message:
		return r.hold(d, s, in, s.Trouble(), now)
	case Due:
		return nil, nil
	case Suspend:
		if err := moved(s, in); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", ErrNoEffect, s.Trouble())
	case Resume:
		if d != nil {
			return r.resume(d, s, in, now)
		}
	case EditData:
		if d != nil {
			return d.applyAll(s, in, now)
		}
	}
	if d == nil {
		return nil, fmt.Errorf("%w: version %d of %s is not registered", ErrSuspended, s.Version, s.Definition)
	}
	return nil, fmt.Errorf("%w: %s; resume it first", ErrSuspended, s.Trouble())
}

// hold keeps a message for a saga that does nothing now.
func (r *Registry) hold(d *Definition, s State, m Message, why string, now time.Time) ([]Decision, error) {
	if d != nil && !d.handles[m.Type] {
		return nil, r.foreign(d, m)
	}
	if len(s.Held) >= keptHeld {
		return nil, fmt.Errorf("%w: %s, and %d messages are held for the saga already", ErrSuspended, why, len(s.Held))
	}
	next := s.clone()
	next.Held = append(slices.Clone(s.Held), m)
	return []Decision{rephase(s, next, HeldMessage, m.Type, why+"; "+m.Type+" is held", now)}, nil
}
