package contracts_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	at    = time.Date(2026, 11, 23, 10, 4, 5, 678900000, time.UTC)
	cause = uuid.MustParse("01976f2e-0000-7000-8000-00000000000c")
)

func envelope(n byte, cause uuid.UUID) contracts.Envelope {
	id := uuid.MustParse("01976f2e-0000-7000-8000-000000000000")
	id[15] = n
	return contracts.Envelope{EventID: id, Time: at, OrderID: 4711, CausationID: cause}
}

// messages has one of each type, as its producer sends it.
var messages = []contracts.Message{
	contracts.OrderCreated{Envelope: envelope(1, uuid.Nil), UserID: "u1", SKU: "burger", Quantity: 2},
	contracts.OrderConfirmed{Envelope: envelope(2, cause)},
	contracts.OrderCancelled{Envelope: envelope(3, cause), Reason: `unknown sku "x"`},
	contracts.OrderCancelRequested{Envelope: envelope(4, uuid.Nil), Reason: "changed my mind"},
	contracts.InventoryReserved{Envelope: envelope(5, cause), Reserved: true},
	contracts.InventoryRejected{Envelope: envelope(6, cause), Reason: "insufficient stock: 3 available, 5 requested"},
	contracts.InventoryReleased{Envelope: envelope(7, cause)},
	contracts.ReserveInventory{Envelope: envelope(8, cause), SKU: "burger", Quantity: 2},
	contracts.ReleaseInventory{Envelope: envelope(9, cause)},
	contracts.ConfirmOrder{Envelope: envelope(10, cause)},
	contracts.CancelOrder{Envelope: envelope(11, cause), Reason: `unknown sku "x"`},
	contracts.OrderCancelRefused{Envelope: envelope(12, cause), Reason: "completed more than 24h ago"},
	contracts.RefuseCancel{Envelope: envelope(13, cause), Reason: "completed more than 24h ago"},
}

func TestEveryMessageKeepsItsGoldenJSON(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		golden := filepath.Join("testdata", record.Type+".json")
		if *update {
			require.NoError(t, os.WriteFile(golden, append(record.Payload, '\n'), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(want)), string(record.Payload), golden)
	}
}

func TestThereIsAGoldenFileAndASchemaForEveryType(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"testdata", "schemas"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		require.NoError(t, err)
		require.Len(t, files, len(messages), dir)
	}
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		require.Equal(t, m.Meta().EventID, record.EventID)
		require.Equal(t, "4711", record.Key)
		topic, known := contracts.TopicOf(contracts.Type(record.Type))
		require.True(t, known)
		require.Equal(t, topic, record.Topic)

		got, err := contracts.Decode(record.Topic, record.Payload, func(name string) string { return record.Headers[name] })
		require.NoError(t, err)
		require.Equal(t, contracts.Type(record.Type), got.Meta().Type)
		again, err := contracts.Encode(got)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(record, again))
		require.Equal(t, m.Meta().CausationID, got.Meta().CausationID)
	}
}

func TestDecodeNamesTheFieldAtFault(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change map[string]any // fields of a valid OrderCreated to replace; nil removes
		want   string
	}{
		"no eventId":          {map[string]any{"eventId": nil}, `field "eventId" is missing`},
		"eventId not a uuid":  {map[string]any{"eventId": "17"}, `field "eventId" must be a UUID`},
		"no type":             {map[string]any{"type": nil}, `field "type" is missing`},
		"no time":             {map[string]any{"time": nil}, `field "time" is missing`},
		"time not RFC 3339":   {map[string]any{"time": "yesterday"}, `field "time" must be an RFC 3339 time`},
		"no orderId":          {map[string]any{"orderId": nil}, `field "orderId" is missing`},
		"orderId a string":    {map[string]any{"orderId": "4711"}, `field "orderId" must not be a JSON string`},
		"orderId negative":    {map[string]any{"orderId": -1}, `field "orderId" must be positive`},
		"no userId":           {map[string]any{"userId": nil}, `field "userId" is missing`},
		"no sku":              {map[string]any{"sku": nil}, `field "sku" is missing`},
		"sku too long":        {map[string]any{"sku": strings.Repeat("x", 129)}, `field "sku" must be at most 128 bytes`},
		"no quantity":         {map[string]any{"quantity": nil}, `field "quantity" is missing`},
		"quantity a fraction": {map[string]any{"quantity": 1.5}, `field "quantity" must not be a JSON number 1.5`},
		"quantity too large":  {map[string]any{"quantity": 1_000_001}, `field "quantity" must be from 1 to 1000000`},
		"quantity negative":   {map[string]any{"quantity": -1}, `field "quantity" must be from 1 to 1000000`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := contracts.Decode(contracts.TopicOrders, orderCreatedWith(t, tt.change), noHeaders)
			var fault *contracts.FieldError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, tt.want, fault.Error())
		})
	}
}

func TestDecodeRefusesContradictions(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"InventoryReserved","time":"2026-11-23T10:04:05Z","orderId":1,"reserved":false}`,
		`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"InventoryRejected","time":"2026-11-23T10:04:05Z","orderId":1,"reserved":true}`,
	} {
		_, err := contracts.Decode(contracts.TopicInventory, []byte(body), noHeaders)
		var fault *contracts.FieldError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "reserved", fault.Field)
	}
}

func TestDecodeAllowsUnknownFields(t *testing.T) {
	t.Parallel()
	_, err := contracts.Decode(contracts.TopicOrders, orderCreatedWith(t, map[string]any{"colour": "red"}), noHeaders)
	require.NoError(t, err)
}

func TestDecodeTellsAnUnknownTypeFromAnInvalidMessage(t *testing.T) {
	t.Parallel()
	_, err := contracts.Decode(contracts.TopicOrders, orderCreatedWith(t, map[string]any{"type": "OrderShipped"}), noHeaders)
	require.ErrorIs(t, err, contracts.ErrUnknownType)

	for _, garbage := range []string{"", "{", "[]", "17", "\x00\xff"} {
		_, err := contracts.Decode(contracts.TopicOrders, []byte(garbage), noHeaders)
		require.Error(t, err, garbage)
		require.NotErrorIs(t, err, contracts.ErrUnknownType)
	}
}

func TestEncodeRefusesAnInvalidMessage(t *testing.T) {
	t.Parallel()
	_, err := contracts.Encode(contracts.CancelOrder{Envelope: envelope(1, cause)})
	require.EqualError(t, err, `encode CancelOrder of order 4711: field "reason" is missing`)
}

// Whatever is on a topic, decoding it returns a message that can be encoded again and that Postgres
// can store, or an error.
func FuzzDecode_AcceptsWhatCanBeStoredAndSentAgain(f *testing.F) {
	for _, m := range messages {
		record, err := contracts.Encode(m)
		require.NoError(f, err)
		f.Add(record.Payload, record.Type)
	}
	const envelope = `"eventId":"01976f2e-0000-7000-8000-000000000001","time":"2026-11-23T10:04:05Z","orderId":1`
	for _, seed := range []string{
		"", "null", "{", "[]", "\x00", "\xff\xfe", strings.Repeat("[", 10_000), strings.Repeat(`{"a":`, 10_000),
		`{"type":"CancelOrder",` + envelope + `,"reason":"\u0000"}`,
		`{"type":"CancelOrder",` + envelope + `,"reason":"\ud800"}`,
		`{"type":"CancelOrder",` + envelope + `,"reason":"` + strings.Repeat("ü", 1001) + `"}`,
		`{"type":"ReserveInventory",` + envelope + `,"sku":"a\u0000","quantity":1}`,
		`{"type":"ReserveInventory",` + envelope + `,"sku":"a","quantity":9999999999999}`,
	} {
		f.Add([]byte(seed), "CancelOrder")
	}
	f.Fuzz(func(t *testing.T, payload []byte, hint string) {
		var body struct{ Type contracts.Type }
		_ = json.Unmarshal(payload, &body)
		topic, _ := contracts.TopicOf(body.Type)
		m, err := contracts.Decode(topic, payload, func(name string) string {
			return map[string]string{contracts.HeaderType: hint}[name]
		})
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEqual(t, uuid.Nil, m.Meta().EventID)
		require.Positive(t, m.Meta().OrderID)
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(record.Payload, &fields))
		for name, value := range fields {
			text, _ := value.(string)
			require.True(t, utf8.ValidString(text) && !strings.Contains(text, "\x00"), "%s: %q", name, text)
		}
	})
}

func noHeaders(string) string { return "" }

func orderCreatedWith(t *testing.T, change map[string]any) []byte {
	t.Helper()
	record, err := contracts.Encode(messages[0])
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(record.Payload, &fields))
	for name, value := range change {
		if value == nil {
			delete(fields, name)
		} else {
			fields[name] = value
		}
	}
	payload, err := json.Marshal(fields)
	require.NoError(t, err)
	return payload
}

// What the header says of a message may save a reading, and changes nothing about what is found.
func TestDecode_HeaderAndBodyMustAgree(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		for _, other := range messages {
			kind, err := contracts.Encode(other)
			require.NoError(t, err)
			headers := map[string]string{contracts.HeaderType: kind.Type, contracts.HeaderID: record.EventID.String()}
			_, err = contracts.Decode(record.Topic, record.Payload, func(name string) string { return headers[name] })
			requireFault(t, err, record.Type == kind.Type, "type", record.Type+" as "+kind.Type)

			headers = map[string]string{contracts.HeaderType: record.Type, contracts.HeaderID: kind.EventID.String()}
			_, err = contracts.Decode(record.Topic, record.Payload, func(name string) string { return headers[name] })
			requireFault(t, err, record.EventID == kind.EventID, "eventId", record.Type+" with the id of "+kind.Type)

			// A dead letter has an id and a type of its own where the message in it had none.
			headers["waybill-dlq-topic"] = record.Topic
			_, err = contracts.Decode(record.Topic, record.Payload, func(name string) string { return headers[name] })
			require.NoError(t, err)
		}
	}
}

// requireFault demands that err is nil, or that it names the field.
func requireFault(t *testing.T, err error, ok bool, field, about string) {
	t.Helper()
	if ok {
		require.NoError(t, err, about)
		return
	}
	var fault *contracts.FieldError
	require.ErrorAs(t, err, &fault, about)
	require.Equal(t, field, fault.Field, about)
}

// A principal that may write one topic must not speak for those who write another.
func TestDecode_BelievesATypeOnItsOwnTopicOnly(t *testing.T) {
	t.Parallel()
	for _, m := range messages {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		for _, topic := range append(contracts.Topics(), "", "another.v1") {
			_, err := contracts.Decode(topic, record.Payload, func(name string) string { return record.Headers[name] })
			if topic == record.Topic {
				require.NoError(t, err)
				continue
			}
			var fault *contracts.TopicError
			require.ErrorAs(t, err, &fault, "%s on %s", record.Type, topic)
			require.NotErrorIs(t, err, contracts.ErrUnknownType, "it is set aside, not skipped")
		}
	}
}

func TestDecode_RefusesWhatIsNoText(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`a\u0000b`, `\u001b[2K`, `line\nline`, `\u007f`, `\u009b31m`, `\u202egnp.exe`, `\u2028`, `\ufeff`} {
		for field, payload := range map[string]string{
			"userId": `{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"OrderCreated","time":"2026-11-23T10:04:05Z","orderId":1,"userId":"` + bad + `","sku":"x","quantity":1}`,
			"sku":    `{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"OrderCreated","time":"2026-11-23T10:04:05Z","orderId":1,"userId":"u","sku":"` + bad + `","quantity":1}`,
		} {
			_, err := contracts.Decode(contracts.TopicOrders, []byte(payload), noHeaders)
			requireFault(t, err, false, field, bad)
		}
		for _, kind := range []contracts.Type{
			contracts.TypeOrderCancelled, contracts.TypeOrderCancelRequested, contracts.TypeOrderCancelRefused,
			contracts.TypeInventoryReserved, contracts.TypeInventoryRejected, contracts.TypeCancelOrder, contracts.TypeRefuseCancel,
		} {
			topic, _ := contracts.TopicOf(kind)
			payload := func(reason string) []byte {
				return []byte(`{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"` + string(kind) + `","time":"2026-11-23T10:04:05Z","orderId":1,"reserved":` +
					strconv.FormatBool(kind == contracts.TypeInventoryReserved) + `,"reason":"` + reason + `"}`)
			}
			_, err := contracts.Decode(topic, payload(bad), noHeaders)
			requireFault(t, err, false, "reason", string(kind)+bad)
			_, err = contracts.Decode(topic, payload(strings.Repeat("ß", contracts.MaxReasonRunes+1)), noHeaders)
			requireFault(t, err, false, "reason", string(kind))
			_, err = contracts.Decode(topic, payload(strings.Repeat("ß", contracts.MaxReasonRunes)), noHeaders)
			require.NoError(t, err)
		}
	}
}

func TestDecode_RefusesHalfCharacters(t *testing.T) {
	t.Parallel()
	for sku, ok := range map[string]bool{
		`\ud83d\ude00`: true, `\\ud83d`: true, `\u00e4`: true, `\"\ud83d\ude00`: true, "😀": true,
		`\ud83d`: false, `\ude00`: false, `\ude00\ud83d`: false, `\ud83dx`: false, `\ud83d\n`: false, `\uD83D\u0041`: false, "\xff": false, "\xed\xa0\x80": false,
	} {
		payload := `{"eventId":"01976f2e-0000-7000-8000-000000000001","type":"OrderCreated","time":"2026-11-23T10:04:05Z","orderId":1,"userId":"u","sku":"` + sku + `","quantity":1}`
		_, err := contracts.Decode(contracts.TopicOrders, []byte(payload), noHeaders)
		require.Equal(t, ok, err == nil, "%q: %v", sku, err)
	}
}

func FuzzReason_CanAlwaysBeSent(f *testing.F) {
	f.Add("ok\n\x1b[2K\xff\u202e")
	f.Add(strings.Repeat("ß\x00", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			t.Skip()
		}
		require.NoError(t, contracts.CancelOrder{Envelope: envelope(1, cause), Reason: contracts.Reason(text)}.Validate())
	})
}

func BenchmarkDecode(b *testing.B) {
	record, err := contracts.Encode(messages[0])
	require.NoError(b, err)
	for _, hint := range []string{"", record.Type} {
		b.Run("header="+hint, func(b *testing.B) {
			header := func(name string) string {
				if name == contracts.HeaderType {
					return hint
				}
				return ""
			}
			for b.Loop() {
				if _, err := contracts.Decode(record.Topic, record.Payload, header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
