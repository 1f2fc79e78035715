package publish

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"waybill.example/outbox-relay/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asPostgresWrites is the text of a jsonb object of strings: a space after colon and comma.
func asPostgresWrites(t require.TestingT, pairs map[string]string) []byte {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		key, err := json.Marshal(name)
		require.NoError(t, err)
		value, err := json.Marshal(pairs[name])
		require.NoError(t, err)
		parts = append(parts, string(key)+": "+string(value))
	}
	return []byte("{" + strings.Join(parts, ", ") + "}")
}

func extras(headers []kafka.Header) map[string]string {
	got := map[string]string{}
	for _, h := range headers[6:] {
		got[h.Key] = string(h.Value)
	}
	return got
}

// The fast way through headers without escapes must read what JSON says, whatever a string holds: a
// comma, a brace, a colon, a quote.
func TestHeadersAreWhatTheJSONSays(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z{}:," \\]{0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.MapOfN(text, text, 0, 5).Draw(t, "pairs")
		delete(pairs, headerContentType)
		headers, err := newEncoder("orders").encode(&source.Row{Headers: asPostgresWrites(t, pairs)})
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(pairs, extras(headers)))
	})
}

func TestHeadersThatAreNoStringsAreRefused(t *testing.T) {
	t.Parallel()
	for _, object := range []string{`{"a": 1}`, `{"a": null, "b": {}}`, `{"a": null}`, `{"a": "x", "b": null}`, `null`, `{"a": ["x"]}`, `{"a": "x", "b": true}`, `{"a": "x" `, `["a"]`} {
		_, err := newEncoder("orders").encode(&source.Row{Headers: []byte(object)})
		var refusal *PermanentError
		require.ErrorAs(t, err, &refusal, object)
		require.Equal(t, "BAD_HEADERS", refusal.Code)
		require.False(t, refusal.WholeTopic)
	}
}

// A row that was written while a clock was wrong is published like any other.
func TestAnyTimeThatPostgresKnowsCanBeSent(t *testing.T) {
	t.Parallel()
	for micros, want := range map[int64]string{
		0:                  "1970-01-01T00:00:00Z",
		-1:                 "1969-12-31T23:59:59.999999Z",
		4102444800_000_000: "2100-01-01T00:00:00Z",
		1795423742_123_000: "2026-11-23T08:49:02.123Z",
	} {
		headers, err := newEncoder("orders").encode(&source.Row{Created: micros})
		require.NoError(t, err)
		require.Equal(t, want, string(headers[4].Value))
	}
}

func TestOnlyAnswersThatStayTheSameAreRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[kafka.ErrorCode]string{
		kafka.ErrMsgSizeTooLarge:          "MSG_SIZE_TOO_LARGE",
		kafka.ErrInvalidRecord:            "INVALID_RECORD",
		kafka.ErrTopicAuthorizationFailed: "TOPIC_AUTHORIZATION_FAILED",
		kafka.ErrUnknownTopicOrPart:       "UNKNOWN_TOPIC",
		kafka.ErrUnknownTopic:             "UNKNOWN_TOPIC",
	} {
		refused := permanent("orders.v1", kafka.NewError(code, "", false))
		require.NotNil(t, refused, code)
		require.Equal(t, want, refused.Code)
	}
	for _, code := range []kafka.ErrorCode{
		kafka.ErrTransport, kafka.ErrAllBrokersDown, kafka.ErrMsgTimedOut, kafka.ErrNotLeaderForPartition, kafka.ErrNotEnoughReplicas,
		kafka.ErrPurgeInflight, kafka.ErrPurgeQueue, kafka.ErrFatal, kafka.ErrGaplessGuarantee, kafka.ErrOutOfOrderSequenceNumber,
		kafka.ErrClusterAuthorizationFailed,
	} {
		require.Nil(t, permanent("orders.v1", kafka.NewError(code, "", false)), code)
	}
}
