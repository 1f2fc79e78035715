package schemaregistry_test

import (
	"waybill.example/chassis/schemaregistry"
	"waybill.example/sdk/outbox"
)

func Example() {
	codec, err := schemaregistry.New(schemaregistry.Config{
		URL: "https://schemas.internal:8081",
		Schemas: func(messageType string) (schemaregistry.Schema, bool) {
			return schemaregistry.Schema{Format: schemaregistry.JSON, Text: `{"type":"object"}`}, messageType == "OrderCreated"
		},
	})
	if err != nil {
		return
	}
	_ = outbox.Writer{Payloads: codec} // Append fails for what breaks its schema
}
