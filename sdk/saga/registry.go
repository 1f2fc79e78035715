package saga

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Registry holds the definitions that an orchestrator knows, several versions
// of each side by side. A saga begins on the newest version that the message
// starts, and stays on it. A registry is safe for concurrent use once the last
// Register returned.
type Registry struct {
	byName map[string][]*Definition   // oldest version first
	begins map[string]*Definition     // message type → the newest definition that it starts, or cancels early
	meant  map[string]map[string]bool // message type → names of the definitions that it means something to
	// awaited is an event's type → names of the definitions that await it.
	awaited map[string]map[string]bool
	// suspensions are the versions that are suspended; nil: none is.
	suspensions atomic.Pointer[map[versionOf]Suspension]
}

// NewRegistry returns a registry of the given definitions.
func NewRegistry(defs ...*Definition) (*Registry, error) {
	r := &Registry{
		byName: map[string][]*Definition{}, begins: map[string]*Definition{}, meant: map[string]map[string]bool{}, awaited: map[string]map[string]bool{},
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
	if d == nil {
		return errors.New("a saga definition is nil: look at the error of its Build")
	}
	for _, m := range d.beginnings() {
		if other, taken := r.begins[m]; taken && other.name != d.name {
			return fmt.Errorf("saga definition %q: %s starts or cancels %q already: give it a message of its own", d.name, m, other.name)
		}
	}
	versions := r.byName[d.name]
	at, taken := slices.BinarySearchFunc(versions, d.version, func(d *Definition, v int) int { return d.version - v })
	if taken {
		return fmt.Errorf("saga definition %q: version %d is registered already: give this one another version, or a name of its own", d.name, d.version)
	}
	r.byName[d.name] = slices.Insert(versions, at, d)
	for _, m := range d.beginnings() {
		if known, ok := r.begins[m]; !ok || known.version < d.version {
			r.begins[m] = d
		}
	}
	for _, m := range d.MessageTypes() {
		note(r.meant, m, d.name)
	}
	for m := range d.awaited {
		note(r.awaited, m, d.name)
	}
	return nil
}

func note(index map[string]map[string]bool, messageType, definition string) {
	if index[messageType] == nil {
		index[messageType] = map[string]bool{}
	}
	index[messageType][definition] = true
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

// Handles says whether messages of this type mean anything to any definition.
func (r *Registry) Handles(messageType string) bool { return len(r.meant[messageType]) > 0 }

// Starts says whether messages of this type start a saga.
func (r *Registry) Starts(messageType string) bool {
	d, ok := r.begins[messageType]
	return ok && d.start.message == messageType
}

// Awaits says whether a definition awaits events of this type.
func (r *Registry) Awaits(messageType string) bool { return len(r.awaited[messageType]) > 0 }

// StateName is what the saga's state is called to people.
func (r *Registry) StateName(s State) string {
	if d, ok := r.Definition(s.Definition, s.Version); ok {
		return d.StateName(s.Phase)
	}
	return string(s.Phase)
}
