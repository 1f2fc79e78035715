package saga

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Ref identifies a saga: ids are those of the messages' keys, and two
// definitions can have a saga for one key.
type Ref struct {
	Definition string
	ID         string
}

func (r Ref) String() string { return r.Definition + "/" + r.ID }

// Ref is the saga's identity.
func (s State) Ref() Ref { return Ref{s.Definition, s.ID} }

// ErrAmbiguous says that a message could be for more than one saga.
var ErrAmbiguous = errors.New("the message could be for several sagas")

// Route finds the sagas that a message is for among those that exist with its
// key. A message that starts or cancels sagas belongs to the definition that it
// does that to, whether there is a saga yet or not, and an event to all sagas
// that await it. Any other is for the saga that sent the command it answers; one
// that names none, for the only saga whose definition knows the type.
// Where there is no saga, a reply is for the one that would have sent the command: that was
// forgotten, and may begin again. [ErrUnknownSaga]: it is for none of them.
//
// A type that no definition here knows can be a reply that a newer version
// knows, on another orchestrator: then it is for the saga whose command it
// answers, or for nobody.
func (r *Registry) Route(exist []State, m Message) ([]Ref, error) {
	var refs []Ref
	if d, ok := r.begins[m.Type]; ok {
		refs = append(refs, Ref{d.name, m.Key})
	}
	for _, s := range exist {
		if r.awaited[m.Type][s.Definition] && !slices.Contains(refs, s.Ref()) {
			refs = append(refs, s.Ref())
		}
	}
	if len(refs) > 0 {
		return refs, nil
	}
	ref, err := r.routeReply(exist, m)
	if d := r.sender(m); err != nil && d != nil && errors.Is(err, ErrUnknownSaga) {
		ref, err = Ref{d.name, m.Key}, nil
	}
	if err != nil {
		return nil, err
	}
	return []Ref{ref}, nil
}

// sender finds the definition whose saga, under the key of the reply m, sends the command that m
// answers; nil if it is none of those that are registered here.
func (r *Registry) sender(m Message) *Definition {
	for name := range r.meant[m.Type] {
		for _, d := range slices.Backward(r.byName[name]) {
			if d.maySend(m) {
				return d
			}
		}
	}
	return nil
}

// routeReply finds the saga that a reply is for.
func (r *Registry) routeReply(exist []State, m Message) (Ref, error) {
	var candidates []State
	for _, s := range exist {
		if m.CausationID != uuid.Nil && s.sent(m.CausationID) {
			return s.Ref(), nil
		}
		_, known := r.Definition(s.Definition, s.Version)
		if r.meant[m.Type][s.Definition] || !known && !r.Handles(m.Type) {
			candidates = append(candidates, s)
		}
	}
	switch {
	case len(candidates) == 0, !r.Handles(m.Type) && m.CausationID == uuid.Nil:
		return Ref{}, ErrUnknownSaga
	case len(candidates) == 1:
		return candidates[0].Ref(), nil
	case m.CausationID != uuid.Nil:
		// It answers none of the commands that are remembered; whose timeline has
		// the stale line matters little.
		return candidates[0].Ref(), nil
	}
	return Ref{}, fmt.Errorf("%w: %s with key %q names no command that it answers", ErrAmbiguous, m.Type, m.Key)
}

// sent says whether the saga remembers having sent the command.
func (s State) sent(id uuid.UUID) bool {
	return slices.ContainsFunc(s.Steps, func(st StepState) bool {
		return slices.Contains(st.Sent, id) || slices.Contains(st.UndoSent, id)
	})
}
