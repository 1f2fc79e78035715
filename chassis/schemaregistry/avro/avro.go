// Package avro checks payloads in Avro's binary encoding against their schemas, for package
// schemaregistry.
package avro

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hamba/avro/v2"
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
	schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		return schemaregistry.Compiled{}, fmt.Errorf("parse the Avro schema: %w", err)
	}
	return schemaregistry.Compiled{Check: func(payload []byte) error {
		var value any
		reader := avro.NewReader(bytes.NewReader(payload), 512)
		reader.ReadVal(schema, &value)
		if reader.Error != nil && !errors.Is(reader.Error, io.EOF) {
			return reader.Error
		}
		if reader.Error != nil {
			return io.ErrUnexpectedEOF
		}
		if reader.Peek(); reader.Error == nil {
			return errors.New("there is more behind the value")
		}
		return nil
	}}, nil
}
