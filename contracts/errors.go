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

func missing(field string) error { return &FieldError{Field: field, Problem: "is missing"} }

func invalid(field, problem string) error { return &FieldError{Field: field, Problem: problem} }
