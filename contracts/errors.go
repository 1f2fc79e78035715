package contracts

import (
	"errors"
	"fmt"
)

// ErrUnknownType is wrapped by [Decode]'s error for a type that this version does not know. A
// consumer skips such a message and counts it: new events must not break old consumers.
var ErrUnknownType = errors.New("unknown message type")

// FieldError says which field of a message is missing or invalid.
type FieldError struct {
	Field   string // the JSON name
	Problem string // "is missing", "must be …"
}

// Error implements error: the field's name, then the problem.
func (e *FieldError) Error() string { return fmt.Sprintf("field %q %s", e.Field, e.Problem) }

// TopicError says that a message was found on a topic that its type does not belong to: one that
// may write the one need not be trusted with the other.
type TopicError struct {
	Type       Type
	Own, Topic string // where it belongs, and where it was
}

// Error implements error.
func (e *TopicError) Error() string {
	return fmt.Sprintf("%s belongs on %s, and is not believed on %s", e.Type, e.Own, e.Topic)
}

func missing(field string) error { return &FieldError{Field: field, Problem: "is missing"} }

func invalid(field, problem string) error { return &FieldError{Field: field, Problem: problem} }
