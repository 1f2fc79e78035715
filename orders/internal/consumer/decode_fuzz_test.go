package consumer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/sdk/inbox"
)

// Whatever stands on the topic, decoding it gives a command that the database can hold, or an error.
func FuzzDecode(f *testing.F) {
	const envelope = `"eventId":"01976f2e-0000-7000-8000-000000000001","time":"2026-11-23T10:04:05Z","orderId":1`
	for _, seed := range []string{
		"", "null", "{", "[]", "\x00", "\xff\xfe", strings.Repeat("[", 10_000), strings.Repeat(`{"a":`, 10_000),
		`{"type":"ConfirmOrder",` + envelope + `}`,
		`{"type":"CancelOrder",` + envelope + `,"reason":"\u0000"}`,
		`{"type":"CancelOrder",` + envelope + `,"reason":"\ud800"}`,
		`{"type":"CancelOrder",` + envelope + `,"reason":"` + strings.Repeat("ü", 1001) + `"}`,
		`{"type":"ReserveInventory",` + envelope + `,"sku":"a\u0000","quantity":1}`,
		`{"type":"ReserveInventory",` + envelope + `,"sku":"a","quantity":9999999999999}`,
		`{"type":"ReleaseInventory",` + envelope + `}`,
		`{"type":"OrderCreated",` + envelope + `,"userId":"u","sku":"s","quantity":1}`,
	} {
		f.Add([]byte(seed), "ConfirmOrder")
		f.Add([]byte(seed), "ReserveInventory")
	}
	f.Fuzz(func(t *testing.T, value []byte, kind string) {
		d := inbox.Delivery{Topic: contracts.TopicOrderCommands, Value: value, Headers: []inbox.Header{{Key: "ce_type", Value: []byte(kind)}}}
		id, command, err := decode(d)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEqual(t, uuid.Nil, id)
		require.Positive(t, command.OrderID)
		require.True(t, storable(command.Reason), "%q", command.Reason)
	})
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
