package saga

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Kept returns what a saga's data is after a message was applied at a step: the start's data, with
// what a success keeps added. A message that keeps nothing leaves it as it is. It is pure; with it
// what the data was is worked out again from the messages that a saga was sent.
func (d *Definition) Kept(data json.RawMessage, stepName string, m Message) (kept json.RawMessage, err error) {
	defer func() {
		if what := recover(); what != nil {
			kept, err = nil, fmt.Errorf("%w: %s v%d: %v", ErrPanicked, d.name, d.version, what)
		}
	}()
	if m.Type == d.start.message {
		return d.start.data(m)
	}
	at := slices.IndexFunc(d.steps, func(s *step) bool { return s.name == stepName })
	if at < 0 {
		return data, nil
	}
	for _, r := range d.steps[at].replies {
		if r.message == m.Type && r.keep != nil {
			return r.keep(data, m)
		}
	}
	return data, nil
}

// Keeps reports whether the data can change when a step succeeds.
func (d *Definition) Keeps(stepName string) bool {
	at := slices.IndexFunc(d.steps, func(s *step) bool { return s.name == stepName })
	return at >= 0 && slices.ContainsFunc(d.steps[at].replies, func(r reply) bool { return r.keep != nil })
}
