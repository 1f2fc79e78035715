package saga

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Registry holds the definitions that an orchestrator knows, several versions
// of each side by side. Sagas begin on the newest version; a running one stays
// on its own. It is safe for concurrent use once the last Register returned.
type Registry struct {
	byName map[string][]*Definition // oldest version first
	begins map[string]string        // message type → the definition it starts, or cancels early
	meant  map[string]bool          // message types that mean something
}

// NewRegistry returns a registry of the given definitions.
func NewRegistry(defs ...*Definition) (*Registry, error) {
	r := &Registry{
		byName: map[string][]*Definition{}, begins: map[string]string{}, meant: map[string]bool{},
	}
	var faults []error
	for _, d := range defs {
		faults = append(faults, r.Register(d))
	}
	return r, errors.Join(faults...)
}

// Register adds a definition. Two definitions cannot start, or be
// cancelled, by the same message, and a version can be registered once.
func (r *Registry) Register(d *Definition) error {
	for _, m := range d.beginnings() {
		if other, taken := r.begins[m]; taken && other != d.name {
			return fmt.Errorf("saga definition %q: %s starts or cancels %q already", d.name, m, other)
		}
	}
	versions := r.byName[d.name]
	at, taken := slices.BinarySearchFunc(versions, d.version, func(d *Definition, v int) int { return d.version - v })
	if taken {
		return fmt.Errorf("saga definition %q: version %d is registered already", d.name, d.version)
	}
	r.byName[d.name] = slices.Insert(versions, at, d)
	for _, m := range d.beginnings() {
		r.begins[m] = d.name
	}
	for _, m := range d.MessageTypes() {
		r.meant[m] = true
	}
	return nil
}

// beginnings are the messages that can be the first of a saga.
func (d *Definition) beginnings() []string {
	if d.cancel == nil {
		return []string{d.start.message}
	}
	return []string{d.start.message, d.cancel.message}
}

// Definition finds a version of a definition; version 0 is the newest.
func (r *Registry) Definition(name string, version int) (*Definition, bool) {
	versions := r.byName[name]
	if len(versions) == 0 {
		return nil, false
	}
	if version == 0 {
		return versions[len(versions)-1], true
	}
	at, ok := slices.BinarySearchFunc(versions, version, func(d *Definition, v int) int { return d.version - v })
	if !ok {
		return nil, false
	}
	return versions[at], true
}

// Definitions lists all versions of all definitions, by name and version.
func (r *Registry) Definitions() []*Definition {
	var all []*Definition
	for _, versions := range r.byName {
		all = append(all, versions...)
	}
	slices.SortFunc(all, func(a, b *Definition) int {
		if a.name != b.name {
			if a.name < b.name {
				return -1
			}
			return 1
		}
		return a.version - b.version
	})
	return all
}

// Means says whether messages of this type mean anything to any definition.
func (r *Registry) Means(messageType string) bool { return r.meant[messageType] }

// StateName is what the saga's state is called to people.
func (r *Registry) StateName(s State) string {
	if d, ok := r.Definition(s.Definition, s.Version); ok {
		return d.StateName(s.Phase)
	}
	return string(s.Phase)
}

// Apply is [Definition.Apply] with the definition that the saga, or the
// message that starts it, belongs to.
//
// A saga whose version is not registered is parked: shown as such, and the
// messages it is sent are held. Once an orchestrator knows the version, the
// next message or deadline lets it go on, first with what was held. So there
// can be several decisions, in order; the last has the final state.
func (r *Registry) Apply(s State, in Input, now time.Time) ([]Decision, error) {
	var d *Definition
	if s.Exists() {
		d, _ = r.Definition(s.Definition, s.Version)
	} else {
		m, _ := in.(Message)
		d, _ = r.Definition(r.begins[m.Type], 0)
	}
	switch {
	case d == nil && !s.Exists():
		return nil, ErrUnknownSaga
	case d == nil:
		return park(s, in, now)
	case s.Phase == Parked:
		return d.unpark(s, in, now)
	}
	one, err := d.Apply(s, in, now)
	if err != nil || !one.Changed() {
		return nil, err
	}
	return []Decision{one}, nil
}

// park holds what happens to a saga whose definition is gone. Its deadlines
// stay as they are: they come due for whoever knows the definition.
func park(s State, in Input, now time.Time) ([]Decision, error) {
	next := s.clone()
	note := fmt.Sprintf("definition %s version %d is not registered", s.Definition, s.Version)
	if s.Phase != Parked {
		next.Phase, next.ParkedFrom = Parked, s.Phase
	}
	switch in := in.(type) {
	case Message:
		next.Held = append(slices.Clone(s.Held), in)
		note += "; " + in.Type + " is held"
	case Due:
		if s.Phase == Parked {
			return nil, nil
		}
	default:
		return nil, fmt.Errorf("%w: %s", ErrParked, note)
	}
	return []Decision{rephase(s, next, ParkedSaga, in.cause(), note, now)}, nil
}

func (d *Definition) unpark(s State, in Input, now time.Time) ([]Decision, error) {
	next, held := s.clone(), s.Held
	next.Phase, next.ParkedFrom, next.Held = s.ParkedFrom, "", nil
	note := fmt.Sprintf("%d held messages follow", len(held))
	first := rephase(s, next, Unparked, in.cause(), note, now)
	first.Transition.To = d.StateName(next.Phase)
	decisions := []Decision{first}
	for _, m := range held {
		// One that cannot be applied is left out: it was kept long enough for the
		// message that follows it not to be held up by it.
		if one, err := d.Apply(decisions[len(decisions)-1].State, m, now); err == nil && one.Changed() {
			decisions = append(decisions, one)
		}
	}
	one, err := d.Apply(decisions[len(decisions)-1].State, in, now)
	if err != nil {
		return nil, err
	}
	if one.Changed() {
		decisions = append(decisions, one)
	}
	return decisions, nil
}

// rephase is a decision that changes nothing but whether the saga is parked.
func rephase(s, next State, kind Kind, cause Cause, note string, now time.Time) Decision {
	next.Revision = s.Revision + 1
	next.UpdatedAt = now.UTC()
	return Decision{State: next, Transition: Transition{
		Seq: next.Revision, Kind: kind, At: now.UTC(), From: string(s.Phase), To: string(next.Phase), Cause: cause, Note: note,
	}}
}
