package contracts_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

var (
	lines = []contracts.Line{{SKU: "burger", Quantity: 2}, {SKU: "cola", Quantity: 1}}
	// several are the messages that have another form for orders of several lines.
	several = []contracts.Message{
		contracts.OrderCreated{Envelope: envelope(1, uuid.Nil), UserID: "u1", Items: lines},
		contracts.ReserveInventory{Envelope: envelope(8, cause), Items: lines},
	}
)

func TestEncode_OrdersOfSeveralLinesKeepTheirGoldenJSON(t *testing.T) {
	t.Parallel()
	for _, m := range several {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		golden := filepath.Join("testdata", "items", record.Type+".json")
		if *update {
			require.NoError(t, os.WriteFile(golden, append(record.Payload, '\n'), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(want)), string(record.Payload), golden)

		got, err := contracts.Decode(record.Topic, record.Payload, func(name string) string { return record.Headers[name] })
		require.NoError(t, err)
		again, err := contracts.Encode(got)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(record, again))
		require.Equal(t, lines, got.(interface{ Lines() []contracts.Line }).Lines())
	}
}

// One line is the same message however the order was placed.
func TestOrdered_OneLineTravelsAsSKUAndQuantity(t *testing.T) {
	t.Parallel()
	var m contracts.OrderCreated
	m.SKU, m.Quantity, m.Items = contracts.Ordered(lines[:1])
	require.Equal(t, contracts.OrderCreated{SKU: "burger", Quantity: 2}, m)
	require.Equal(t, lines[:1], m.Lines())
	m.SKU, m.Quantity, m.Items = contracts.Ordered(lines)
	require.Equal(t, contracts.OrderCreated{Items: lines}, m)
}

func TestDecode_NamesTheLineAtFault(t *testing.T) {
	t.Parallel()
	line := func(sku string, quantity any) map[string]any { return map[string]any{"sku": sku, "quantity": quantity} }
	many := make([]any, contracts.MaxLines+1)
	for i := range many {
		many[i] = line(fmt.Sprint(i), 1)
	}
	for want, items := range map[string][]any{
		`field "items" must have at most 100 lines`:                             many,
		`field "items" must have several lines; one goes into sku and quantity`: many[:1],
		`field "items[1].sku" must not be that of items[0] again`:               {line("a", 1), line("a", 2)},
		`field "items[1].sku" is missing`:                                       {line("a", 1), map[string]any{"quantity": 1}},
		`field "items[0].quantity" must be from 1 to 1000000`:                   {line("a", 1_000_001), line("b", 1)},
		`field "items[0].sku" must not contain the control character U+202E`:    {line("a\u202e", 1), line("b", 1)},
		`field "items.quantity" must not be a JSON string`:                      {line("a", "1"), line("b", 1)},
	} {
		payload := orderCreatedWith(t, map[string]any{"sku": nil, "quantity": nil, "items": items})
		_, err := contracts.Decode(contracts.TopicOrders, payload, noHeaders)
		var fault *contracts.FieldError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, want, fault.Error())
	}
	payload := orderCreatedWith(t, map[string]any{"sku": nil, "quantity": nil, "items": many[:contracts.MaxLines]})
	_, err := contracts.Decode(contracts.TopicOrders, payload, noHeaders)
	require.NoError(t, err)
	for field, change := range map[string]map[string]any{
		"sku": {"items": many[:2]}, "quantity": {"items": many[:2], "sku": nil},
	} {
		_, err := contracts.Decode(contracts.TopicOrders, orderCreatedWith(t, change), noHeaders)
		requireFault(t, err, false, field, "both forms")
	}
}

// A consumer from before orders had several lines must not take the first line for the whole order.
// It refuses the message for what it lacks, as a dead letter that can be redriven once the consumer
// has been upgraded.
func TestOrderCreated_SeveralLinesAreRefusedByReadersThatDoNotKnowThem(t *testing.T) {
	t.Parallel()
	for _, m := range several {
		record, err := contracts.Encode(m)
		require.NoError(t, err)
		var before struct {
			SKU      string `json:"sku"`
			Quantity int32  `json:"quantity"`
		}
		require.NoError(t, json.Unmarshal(record.Payload, &before))
		require.Empty(t, before, "required until now, and checked by every consumer of ours")
	}
}
