package schemaregistry

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/sr"

	"waybill.example/sdk/payload"
)

// Format is a language of schemas: [JSON], or those of the packages avro and protobuf.
type Format interface {
	Type() sr.SchemaType
	// Compile returns what says whether a payload adheres to a schema. name is [Schema].Message.
	Compile(text, name string) (Compiled, error)
}

// Compiled is a schema that payloads are checked against.
type Compiled struct {
	Check func(payload []byte) error
	// Index is where a Protobuf message stands in its file; nil for other formats.
	Index []int
}

// Schema is the schema of a type of message.
type Schema struct {
	Format Format
	Text   string
	// Message is the name of the message in a Protobuf file; "" is its first.
	Message string
}

// Validator is a [payload.Codec] that only checks payloads against the schemas of their types
// before they are inserted, so that what breaks its contract is not sent. It is safe for concurrent
// use.
type Validator struct {
	// Schemas returns the schema of a type of message, and whether there is one. A message without
	// is not sent.
	Schemas func(messageType string) (Schema, bool)

	known sync.Map // of *compiled, by type
}

type compiled struct {
	Schema
	Compiled
}

// InvalidError says that a payload does not adhere to its schema.
type InvalidError struct {
	Type string
	Err  error
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("the payload does not adhere to the schema of %s: %v", e.Type, e.Err)
}

func (e *InvalidError) Unwrap() error { return e.Err }

// Encode implements [payload.Codec]. It returns an [*InvalidError] for what does not adhere.
func (v *Validator) Encode(_ context.Context, m payload.Message) (payload.Message, error) {
	if m.Received {
		return m, nil
	}
	is, err := v.compiled(m.Type)
	if err == nil {
		err = is.check(m)
	}
	return m, err
}

// Decode implements [payload.Codec]: it does nothing.
func (*Validator) Decode(_ context.Context, m payload.Message) (payload.Message, error) {
	return m, nil
}

func (v *Validator) compiled(messageType string) (*compiled, error) {
	if is, ok := v.known.Load(messageType); ok {
		return is.(*compiled), nil
	}
	s, ok := v.Schemas(messageType)
	if !ok {
		return nil, fmt.Errorf("there is no schema for messages of the type %q", messageType)
	}
	c, err := s.Format.Compile(s.Text, s.Message)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", messageType, err)
	}
	is := &compiled{s, c}
	v.known.Store(messageType, is)
	return is, nil
}

func (c *compiled) check(m payload.Message) error {
	if err := c.Check(m.Value); err != nil {
		return &InvalidError{m.Type, err}
	}
	return nil
}

// JSON is JSON Schema; formats (uuid, date-time) are checked.
var JSON Format = jsonFormat{}

type jsonFormat struct{}

func (jsonFormat) Type() sr.SchemaType { return sr.TypeJSON }

func (jsonFormat) Compile(text, _ string) (Compiled, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil {
		return Compiled{}, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", document); err != nil {
		return Compiled{}, err
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		return Compiled{}, err
	}
	return Compiled{Check: func(payload []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}}, nil
}
