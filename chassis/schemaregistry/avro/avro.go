// Package avro checks payloads in Avro's binary encoding against their schemas, for package
// schemaregistry.
package avro

import (
	"errors"
	"fmt"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"waybill.example/chassis/schemaregistry"
)

// Format is Avro.
var Format schemaregistry.Format = format{}

type format struct{}

func (format) Type() sr.SchemaType { return sr.TypeAvro }

// Compile implements [schemaregistry.Format]. The payload has to be one value and nothing behind
// it.
func (format) Compile(text, _ string) (schemaregistry.Compiled, error) {
	schema, err := avro.Parse(text)
	if err != nil {
		return schemaregistry.Compiled{}, fmt.Errorf("parse the Avro schema: %w", err)
	}
	return schemaregistry.Compiled{Check: func(payload []byte) error {
		var value any
		rest, err := schema.Decode(payload, &value)
		if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		if len(rest) > 0 {
			return errors.New("there is more behind the value")
		}
		return nil
	}}, nil
}
