package contracts_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"waybill.example/contracts"
)

// asJSON is a value as encoding/json sees it.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	encoded, err := json.Marshal(v)
	require.NoError(t, err)
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	require.NoError(t, err)
	return decoded
}

func compile(t *testing.T, name string, schema any) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(name, schema))
	compiled, err := compiler.Compile(name)
	require.NoError(t, err)
	return compiled
}

func schemaOf(t *testing.T, messageType string) (compiled *jsonschema.Schema, properties map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("schemas", messageType+".json"))
	require.NoError(t, err)
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return compile(t, messageType+".json", schema), schema.(map[string]any)["properties"].(map[string]any)
}

func asyncapi(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("asyncapi.yaml")
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, yaml.Unmarshal(text, &document))
	return document
}

// The schema is that of the AsyncAPI project (Apache License 2.0), from its npm package
// @asyncapi/specs 6.11.1.
func TestAsyncAPI_IsValid(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/spec/asyncapi-3.0.0.json.gz")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(file)
	require.NoError(t, err)
	schema, err := jsonschema.UnmarshalJSON(plain)
	require.NoError(t, err)
	compiled := compile(t, "asyncapi.json", schema)
	document := asJSON(t, asyncapi(t))
	require.NoError(t, compiled.Validate(document))
	delete(document.(map[string]any), "info")
	require.Error(t, compiled.Validate(document), "the test can fail")
}

func TestAsyncAPI_DescribesEveryTopicAndMessage(t *testing.T) {
	t.Parallel()
	document := asyncapi(t)
	var topics, described []string
	for _, channel := range document["channels"].(map[string]any) {
		topics = append(topics, channel.(map[string]any)["address"].(string))
		for name := range channel.(map[string]any)["messages"].(map[string]any) {
			described = append(described, name)
		}
	}
	require.ElementsMatch(t, contracts.Topics(), topics)
	components := document["components"].(map[string]any)["messages"].(map[string]any)
	for _, m := range messages {
		name := reflect.TypeOf(m).Name()
		require.Contains(t, described, name)
		require.Contains(t, components, name)
	}
	for name := range components {
		require.Contains(t, described, name, "a message of no topic")
	}
}

// What a producer sends is what the schema says, and the schema says all of it: a field that is
// added to a message without its schema fails here.
func TestSchemas_DescribeEveryField(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		name := reflect.TypeOf(m).Name()
		compiled, properties := schemaOf(t, name)
		golden, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(golden))
		require.NoError(t, err)
		require.NoError(t, compiled.Validate(value), name)
		for _, field := range fields(reflect.TypeOf(m)) {
			if field == "causationId" {
				continue // some have no cause
			}
			require.Contains(t, properties, field, name)
		}
		value.(map[string]any)["orderId"] = "4711"
		require.Error(t, compiled.Validate(value), "the test can fail")
	}
}

// fields are the names of a message's fields in JSON.
func fields(message reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(message) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && f.IsExported() && name != "" && name != "-" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
