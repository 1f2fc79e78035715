package payloads

import (
	"errors"
	"io/fs"

	"waybill.example/chassis/schemaregistry"
	"waybill.example/sdk/payload"
)

// SchemaConfig is how payloads are checked; without it they are not.
type SchemaConfig struct {
	// Validate checks payloads against their schemas before they are inserted.
	Validate bool `env:"PAYLOAD_VALIDATE" envDefault:"false"`
	// Registry is the address of a schema registry: payloads of Topics are sent in its wire format,
	// and read from it. They are checked, too.
	Registry string   `env:"PAYLOAD_SCHEMA_REGISTRY"`
	Topics   []string `env:"PAYLOAD_SCHEMA_TOPICS" envDefault:"*"`
	// Register has schemas registered that the registry does not have.
	Register bool `env:"PAYLOAD_SCHEMA_REGISTER" envDefault:"false"`
}

// codec returns what checks and frames payloads, nil where nothing is to.
func (c SchemaConfig) codec(files fs.FS) (payload.Codec, error) {
	if !c.Validate && c.Registry == "" {
		return nil, nil //nolint:nilnil // a nil codec is one that does nothing
	}
	if files == nil {
		return nil, errors.New("PAYLOAD_VALIDATE, PAYLOAD_SCHEMA_REGISTRY: this service has no schemas")
	}
	schemas := func(messageType string) (schemaregistry.Schema, bool) {
		text, err := fs.ReadFile(files, messageType+".json")
		return schemaregistry.Schema{Format: schemaregistry.JSON, Text: string(text)}, err == nil
	}
	var check, frame payload.Codec
	if c.Validate {
		check = &schemaregistry.Validator{Schemas: schemas}
	}
	if c.Registry != "" {
		var err error
		if frame, err = schemaregistry.New(schemaregistry.Config{
			URL: c.Registry, Topics: listed(c.Topics), Schemas: schemas, Register: c.Register,
		}); err != nil {
			return nil, err
		}
	}
	return payload.Chain(check, frame), nil
}
