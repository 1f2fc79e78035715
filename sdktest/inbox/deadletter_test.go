package inbox_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func randomText(n int) string { return base64.StdEncoding.EncodeToString(random(n))[:n] }

// librdkafka's message.max.bytes: what the relay can send.
const messageLimit = 1_000_000

func size(m outbox.Message) int {
	n := len(m.Key) + len(m.Type) + len(m.Payload)
	for name, value := range m.Headers {
		n += len(name) + len(value) + 10
	}
	return n
}

// Whatever a message holds, setting it aside works at the first attempt, and the relay can send the
// letter.
func TestDeadLetter_AnyMessageCanBeStoredAndSent(t *testing.T) {
	t.Parallel()
	many := make([]inbox.Header, 5000)
	for i := range many {
		many[i] = inbox.Header{Key: fmt.Sprint("h", i), Value: random(20)}
	}
	for name, d := range map[string]inbox.Delivery{
		"a long binary key":              {Topic: "t", Key: random(8000)},
		"a long key":                     {Topic: "t", Key: []byte(randomText(1_000_000))},
		"the longest key that is kept":   {Topic: "t", Key: []byte(randomText(outbox.MaxKeyBytes))},
		"a key that is not text":         {Topic: "t", Key: []byte{0xff, 0}},
		"a large value":                  {Topic: "t", Value: random(1_048_000)},
		"a value at the limit":           {Topic: "t", Key: []byte("2"), Value: bytes.Repeat([]byte("x"), 999_700)},
		"many headers":                   {Topic: "t", Headers: many},
		"a large header":                 {Topic: "t", Headers: []inbox.Header{{Key: "h", Value: []byte(randomText(900_000))}}},
		"a large header name":            {Topic: "t", Headers: []inbox.Header{{Key: randomText(900_000)}}},
		"a header without a name":        {Topic: "t", Headers: []inbox.Header{{Value: []byte("x")}}},
		"a large type":                   {Topic: "t", Headers: []inbox.Header{{Key: "ce_type", Value: []byte(randomText(100_000))}}},
		"a type that is not text":        {Topic: "t", Headers: []inbox.Header{{Key: "ce_type", Value: []byte{'a', 0}}}},
		"a long topic":                   {Topic: strings.Repeat("t", outbox.MaxTopicBytes), Partition: 1 << 30, Offset: 1 << 60},
		"a time before there were times": {Topic: "t", Time: time.UnixMilli(-1 << 60)},
		"everything":                     {Topic: strings.Repeat("t", 246), Key: random(500_000), Value: random(500_000), Headers: many},
		"nothing":                        {Topic: "t"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
			reason := errors.New(strings.Repeat("ü\x00\xff", 100_000))
			letter := inbox.DeadLetter(d, "test", reason)
			require.Less(t, size(letter), messageLimit-20_000)
			require.LessOrEqual(t, utf8.RuneCountInString(letter.Headers[inbox.HeaderDeadLetterReason]), 1000)
			require.NoError(t, e.processor().Reject(t.Context(), d, reason))
			require.Equal(t, 1, e.count(t, `select count(*) from outbox where topic like '%.dlq' and headers ? 'waybill-dlq-offset'
				and (length(payload) = 900000 or not headers ? 'waybill-dlq-payload-bytes')`))
		})
	}
}

func TestDeadLetter_SaysWhatItCouldNotKeep(t *testing.T) {
	t.Parallel()
	d := inbox.Delivery{
		Topic: strings.Repeat("t", 248) + "1", Key: append([]byte{0xff}, make([]byte, 4999)...), Value: make([]byte, 1_000_000),
		Headers: []inbox.Header{
			{Key: "ce_source", Value: []byte("/stranger")},
			{Key: "ce_time", Value: []byte("2026-01-02T03:04:05Z")},
			{Key: "kept", Value: []byte("yes")},
			{Key: "binary", Value: []byte{0xff}},
		},
	}
	letter := inbox.DeadLetter(d, "test", errors.New("why"))
	require.Empty(t, letter.Key)
	require.Len(t, letter.Headers, 13)
	for name, want := range map[string]string{
		inbox.HeaderDeadLetterKeyBytes: "5000", inbox.HeaderDeadLetterPayloadBytes: "1000000", inbox.HeaderDeadLetterTopic: d.Topic,
		inbox.HeaderDeadLetterSource: "/stranger", inbox.HeaderDeadLetterTime: "2026-01-02T03:04:05Z", "kept": "yes",
		inbox.HeaderDeadLetterHeadersLeftOut: "1",
	} {
		require.Equal(t, want, letter.Headers[name], name)
	}
	kept, err := base64.StdEncoding.DecodeString(letter.Headers[inbox.HeaderDeadLetterKey])
	require.NoError(t, err)
	require.Equal(t, d.Key[:len(kept)], kept)
	require.Len(t, letter.Topic, outbox.MaxTopicBytes)
	other := strings.Repeat("t", 248) + "2"
	require.NotEqual(t, letter.Topic, inbox.DeadLetterTopic(other))
	require.Equal(t, "orders.v1.dlq", inbox.DeadLetterTopic("orders.v1"))
}

// Another message at the place of one that was set aside, in a topic that was deleted and made
// again, is another dead letter.
func TestDeadLetter_APlaceThatIsTakenAgainHidesNothing(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	for _, value := range []string{"bad1", "bad2", "bad1"} {
		require.NoError(t, e.processor().Reject(t.Context(), delivery(72, value), errors.New("no")))
	}
	require.Equal(t, 2, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
}

func FuzzDeadLetter(f *testing.F) {
	f.Add("t", []byte("k"), []byte("v"), "h", []byte("x"), "why")
	f.Add("", []byte{0xff}, []byte{}, "ce_id", []byte("x"), "\x00")
	f.Add(strings.Repeat("ü", 200), random(3000), random(10), "ce_type", random(300), "")
	f.Fuzz(func(t *testing.T, topic string, key, value []byte, name string, header []byte, why string) {
		d := inbox.Delivery{Topic: topic, Key: key, Value: value, Headers: []inbox.Header{{Key: name, Value: header}}}
		letter := inbox.DeadLetter(d, "test", errors.New(why))
		require.Less(t, size(letter), messageLimit)
		require.LessOrEqual(t, len(letter.Topic), outbox.MaxTopicBytes)
		require.LessOrEqual(t, len(letter.Key), outbox.MaxKeyBytes)
		require.NotEmpty(t, letter.Type)
		for _, s := range []string{letter.Topic, letter.Key, letter.Type} {
			require.True(t, utf8.ValidString(s) && !strings.Contains(s, "\x00"))
		}
		for n, v := range letter.Headers {
			require.True(t, utf8.ValidString(n+v) && !strings.Contains(n+v, "\x00"))
		}
	})
}
