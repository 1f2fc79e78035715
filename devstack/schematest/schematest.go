// Package schematest compares what a service says with the JSON Schemas of its messages.
package schematest

import (
	"bytes"
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/contracts/schemas"
)

// Watch checks, when the test ends, that everything in an outbox that is meant for the topics of
// [contracts] is valid by the schema of its type. Dead letters are what others have sent, and are
// not looked at.
func Watch(t testing.TB, db *pgxpool.Pool) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			Outbox(t, db)
		}
	})
}

// Outbox checks all that [Watch] does now, and returns how many messages of each type there are.
func Outbox(t testing.TB, db *pgxpool.Pool) map[string]int {
	t.Helper()
	rows, err := db.Query(context.WithoutCancel(t.Context()), "select type, payload from outbox where topic = any($1)", topics()) //nolint:rowserrcheck // ForEachRow returns its error
	require.NoError(t, err)
	found := map[string]int{}
	var (
		messageType string
		payload     []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&messageType, &payload}, func() error {
		found[messageType]++
		require.NoError(t, Validate(messageType, payload), "%s %s", messageType, payload)
		return nil
	})
	require.NoError(t, err)
	return found
}

func topics() []string {
	return slices.DeleteFunc(contracts.Topics(), func(topic string) bool { return strings.HasSuffix(topic, ".dlq") })
}

// Validate compares one message with the schema of its type.
func Validate(messageType string, payload []byte) error {
	compiled, err := compile(messageType)
	if err != nil {
		return err
	}
	message, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	return compiled.Validate(message)
}

var compiled sync.Map // of *jsonschema.Schema, by type

func compile(messageType string) (*jsonschema.Schema, error) {
	if schema, ok := compiled.Load(messageType); ok {
		return schema.(*jsonschema.Schema), nil
	}
	text, err := fs.ReadFile(schemas.FS, messageType+".json")
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(messageType, document); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(messageType)
	if err == nil {
		compiled.Store(messageType, schema)
	}
	return schema, err
}
