package schemaregistry_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	twmbavro "github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"waybill.example/chassis/schemaregistry"
	"waybill.example/chassis/schemaregistry/avro"
	"waybill.example/chassis/schemaregistry/protobuf"
	"waybill.example/sdk/payload"
)

const (
	jsonText  = `{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}`
	avroText  = `{"type":"record","name":"R","fields":[{"name":"id","type":"long"}]}`
	protoText = `syntax = "proto3"; message A { int64 id = 1; } message B { message C { string name = 1; repeated A all = 2; } }`
)

func schemas(messageType string) (schemaregistry.Schema, bool) {
	s, ok := map[string]schemaregistry.Schema{
		"J": {Format: schemaregistry.JSON, Text: jsonText},
		"A": {Format: avro.Format, Text: avroText},
		"P": {Format: protobuf.Format, Text: protoText, Message: "B.C"},
		"F": {Format: protobuf.Format, Text: protoText},
	}[messageType]
	return s, ok
}

// avroValue is {"id": 17}.
func avroValue(t *testing.T) []byte {
	t.Helper()
	value, err := twmbavro.MustParse(avroText).Encode(map[string]any{"id": int64(17)})
	require.NoError(t, err)
	return value
}

func registry(t *testing.T) *srfake.Registry {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	return r
}

func codec(t *testing.T, c schemaregistry.Config) *schemaregistry.Codec {
	t.Helper()
	if c.Schemas == nil {
		c.Schemas = schemas
	}
	made, err := schemaregistry.New(c)
	require.NoError(t, err)
	return made
}

func none(string) (schemaregistry.Schema, bool) { return schemaregistry.Schema{}, false }

// What is sent is in Confluent's wire format, byte for byte, and is read again: by who knows the
// type, and by who has to ask the registry.
func TestCodec_SpeaksTheWireFormat(t *testing.T) {
	t.Parallel()
	r := registry(t)
	sender := codec(t, schemaregistry.Config{URL: r.URL(), Register: true})
	stranger := codec(t, schemaregistry.Config{URL: r.URL(), Schemas: none})
	for _, c := range []struct {
		kind        string
		value       []byte
		index       []byte
		contentType string
	}{
		{"J", []byte(`{"id":17}`), nil, "application/json"},
		{"A", avroValue(t), nil, "application/avro"},
		{"P", []byte{0x0a, 1, 'x'}, []byte{4, 2, 0}, "application/protobuf"}, // two indexes, 1 and 0, as zigzag varints
		{"F", []byte{8, 17}, []byte{0}, "application/protobuf"},              // the first message
	} {
		m := payload.Message{Topic: "t", Type: c.kind, Value: c.value}
		sent, err := sender.Encode(t.Context(), m)
		require.NoError(t, err, c.kind)
		is, known := r.GetSchema("t-"+c.kind, 1)
		require.True(t, known)
		frame := append([]byte{0, 0, 0, 0, byte(is.ID)}, c.index...)
		require.Equal(t, append(frame, c.value...), sent.Value, c.kind)
		require.Regexp(t, `^http://.*/schemas/ids/\d+$`, sent.Headers[payload.HeaderDataSchema])
		again, err := sender.Encode(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, sent, again, "it is encoded once")

		for _, reader := range []*schemaregistry.Codec{sender, stranger} {
			read, err := reader.Decode(t.Context(), sent)
			require.NoError(t, err)
			require.Equal(t, c.value, read.Value)
			require.Equal(t, map[string]string{"content-type": c.contentType}, read.Headers)
			// Confluent's serializers write no headers.
			read, err = reader.Decode(t.Context(), payload.Message{Topic: "t", Type: c.kind, Value: sent.Value})
			require.NoError(t, err)
			require.Equal(t, c.value, read.Value)
		}
	}
	plain := payload.Message{Topic: "t", Type: "J", Value: []byte(`{"id":17}`)}
	read, err := sender.Decode(t.Context(), plain)
	require.NoError(t, err)
	require.Equal(t, plain, read, "what is not in the wire format is read beside it")
}

func TestCodec_SendsNothingThatBreaksItsSchema(t *testing.T) {
	t.Parallel()
	check := &schemaregistry.Validator{Schemas: schemas}
	frame := codec(t, schemaregistry.Config{URL: "http://127.0.0.1:1", Register: true}) // the registry is not even asked
	for kind, values := range map[string][][]byte{
		"J": {[]byte(`{"id":"x"}`), []byte(`{}`), []byte(`no JSON`), nil},
		"A": {append(avroValue(t), 0), nil},
		"P": {{0x0a, 9, 'x'}, {0x18, 1}, {0x12, 2, 0x10, 1}},
	} {
		for _, value := range values {
			for _, c := range []payload.Codec{check, frame} {
				_, err := c.Encode(t.Context(), payload.Message{Topic: "t", Type: kind, Value: value})
				_, ok := errors.AsType[*schemaregistry.InvalidError](err)
				require.True(t, ok, "%s %q: %v", kind, value, err)
			}
		}
	}
	_, err := check.Encode(t.Context(), payload.Message{Topic: "t", Type: "?"})
	require.ErrorContains(t, err, `no schema for messages of the type "?"`)
	good := payload.Message{Topic: "t", Type: "J", Value: []byte(`{"id":1}`)}
	same, err := check.Encode(t.Context(), good)
	require.NoError(t, err)
	require.Equal(t, good, same)
}

// What the registry refuses is the schema's fault; a registry that does not answer is nobody's.
func TestCodec_TellsARefusalFromSilence(t *testing.T) {
	t.Parallel()
	r := registry(t)
	m := payload.Message{Topic: "t", Type: "J", Value: []byte(`{"id":17}`)}
	_, err := codec(t, schemaregistry.Config{URL: r.URL()}).Encode(t.Context(), m)
	require.ErrorContains(t, err, "the schema registry refuses")
	require.NotErrorIs(t, err, payload.ErrUnavailable, "it is not registered, and is not to be")

	stranger := codec(t, schemaregistry.Config{URL: r.URL(), Schemas: none})
	_, err = stranger.Decode(t.Context(), payload.Message{Topic: "t", Type: "J", Value: []byte{0, 0, 0, 0, 99, '{', '}'}})
	require.ErrorContains(t, err, "look up schema 99")
	require.NotErrorIs(t, err, payload.ErrUnavailable)

	r.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	both := codec(t, schemaregistry.Config{URL: r.URL(), Register: true})
	_, err = both.Encode(t.Context(), m)
	require.ErrorIs(t, err, payload.ErrUnavailable)
	_, err = stranger.Decode(t.Context(), payload.Message{Topic: "t", Type: "J", Value: []byte{0, 0, 0, 0, 98, '{', '}'}})
	require.ErrorIs(t, err, payload.ErrUnavailable)
	r.ClearInterceptors()
	_, err = both.Encode(t.Context(), m)
	require.NoError(t, err)
	r.Close()
	sent, err := both.Encode(t.Context(), m)
	require.NoError(t, err, "the id is known")
	_, err = both.Decode(t.Context(), sent)
	require.NoError(t, err, "and nothing is asked to read")
}

func TestNew_NeedsSchemasAndARegistry(t *testing.T) {
	t.Parallel()
	_, err := schemaregistry.New(schemaregistry.Config{URL: "http://127.0.0.1:1"})
	require.Error(t, err)
	_, err = schemaregistry.New(schemaregistry.Config{Schemas: schemas})
	require.Error(t, err)
	require.Equal(t, []sr.SchemaType{sr.TypeJSON, sr.TypeAvro, sr.TypeProtobuf},
		[]sr.SchemaType{schemaregistry.JSON.Type(), avro.Format.Type(), protobuf.Format.Type()})
	_, err = protobuf.Format.Compile(protoText, "B.D")
	require.ErrorContains(t, err, "there is no message")
	for _, f := range []schemaregistry.Format{schemaregistry.JSON, avro.Format, protobuf.Format} {
		_, err = f.Compile("{", "")
		require.Error(t, err)
	}
}

// What anybody may write to a topic crashes nothing.
func FuzzDecode(f *testing.F) {
	c, err := schemaregistry.New(schemaregistry.Config{URL: "http://127.0.0.1:1", Schemas: schemas})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("P", []byte{0, 0, 0, 0, 1, 4, 2, 0, 0x0a, 1, 'x'}, "")
	f.Add("J", []byte{0, 0, 0}, "x/schemas/ids/1")
	f.Add("P", []byte{0, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f}, "")
	f.Fuzz(func(t *testing.T, kind string, value []byte, schema string) {
		m := payload.Message{Topic: "t", Type: kind, Value: value}
		if schema != "" {
			m = m.With(map[string]string{payload.HeaderDataSchema: schema})
		}
		read, err := c.Decode(t.Context(), m)
		if err == nil && len(read.Value) > len(value) {
			t.Fatalf("%q became %q", value, read.Value)
		}
	})
}
