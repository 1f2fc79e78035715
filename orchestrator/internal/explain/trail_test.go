package explain_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// purchase keeps what the payment says.
type purchase struct {
	Item    string `json:"item"`
	Payment int64  `json:"payment,omitempty"`
	Gift    bool   `json:"gift,omitempty"`
}

func purchaseDefinition(t *testing.T) *saga.Definition {
	t.Helper()
	s := saga.Define[purchase]("purchase", 1)
	s.StartOn("Placed", saga.From(func(p purchase) purchase { return p }))
	s.To("commands")
	none := func(saga.Call[purchase]) (any, error) { return struct{}{}, nil }
	wait := saga.RetryPolicy{Timeout: time.Minute, MaxAttempts: 3}
	s.Step("pay").Send("Pay", none).SuccessKeeping("Paid", func(p *purchase, m saga.Message) error { return json.Unmarshal(m.Data, p) }).
		Wait(wait, "no answer").Undo("Refund", none, "Refunded", wait)
	s.Step("ship").Send("Ship", none).Success("Shipped").RetryForever(wait).NoUndo("it is on its way")
	d, err := s.Build()
	require.NoError(t, err)
	return d
}

// id is the nth id.
func id(n int) uuid.UUID { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)) }

// history is that of a saga that was begun, paid, edited and shipped.
func history(t *testing.T, stored string) explain.Evidence {
	t.Helper()
	registry, err := saga.NewRegistry(purchaseDefinition(t))
	require.NoError(t, err)
	line := func(seq int, kind saga.Kind, step, cause string) inspect.Line {
		at := id(seq)
		return inspect.Line{Seq: seq, Kind: string(kind), Step: step, CauseType: cause, CauseID: &at}
	}
	sent := func(n int, messageType, payload string) explain.Message {
		return explain.Message{ID: int64(n), EventID: id(n), Type: messageType, Topic: "t", Payload: []byte(payload), PayloadBytes: int64(len(payload))}
	}
	return explain.Evidence{
		ID: "1", Registry: registry,
		Saga: &saga.State{ID: "1", Definition: "purchase", Version: 1, Revision: 4, Phase: saga.Completed, Data: json.RawMessage(stored)},
		History: []inspect.Line{
			line(1, saga.Started, "", "Placed"), line(2, saga.Replied, "pay", "Paid"),
			line(3, saga.Intervened, "", "edit-data"), line(4, saga.Replied, "ship", "Shipped"),
		},
		Databases: []explain.Database{{Name: "shop", Sent: []explain.Message{
			sent(1, "Placed", `{"item":"lamp"}`), sent(2, "Paid", `{"payment":9007199254740993}`), sent(4, "Shipped", `{}`),
		}, Deliveries: []explain.Delivery{{EventID: id(1), Consumer: "shop", Topic: "t", Partition: 2, Offset: 7}}}},
	}
}

// decode reads the messages of history: their ids are those of their place.
func decode(d inbox.Delivery) (saga.Message, error) {
	for n, text := range map[int]string{1: "Placed", 2: "Paid", 4: "Shipped"} {
		var p purchase
		if json.Unmarshal(d.Value, &p) != nil {
			return saga.Message{}, fmt.Errorf("no JSON")
		}
		if n == 1 && p.Item != "" || n == 2 && p.Payment != 0 || n == 4 && p == (purchase{}) {
			return saga.Message{ID: id(n), Type: text, Key: string(d.Key), Data: d.Value}, nil
		}
	}
	return saga.Message{}, fmt.Errorf("unknown")
}

func after(t explain.Trail) []string {
	var lines []string
	for _, l := range t.Shown(nil, admin.Reader).Data {
		lines = append(lines, string(l.Data.Bytes())+l.Why)
	}
	return lines
}

// What a saga's data was is worked out from its messages, to the last digit, and is what is stored.
func TestTrail_DataAfterEachTransition(t *testing.T) {
	t.Parallel()
	final := `{"item":"lamp","payment":9007199254740993,"gift":true}`
	e := history(t, final)
	edits := map[int]json.RawMessage{3: json.RawMessage(final)}
	trail := e.Trail(decode, edits)
	paid := `{"item":"lamp","payment":9007199254740993}`
	require.Equal(t, []string{`{"item":"lamp"}`, paid, final, final}, after(trail))
	require.Len(t, trail.Messages, 3)
	require.Equal(t, []explain.Handling{{Database: "shop", Consumer: "shop", Topic: "t", Partition: 2, Offset: 7, At: time.Time{}}}, trail.Messages[0].Handled)

	gone := after(e.Trail(decode, nil))
	require.Equal(t, "what the operator changed is not in the audit log any more", gone[2])
	require.Equal(t, final, gone[3], "what is stored is known")

	e.Databases[0].Sent = e.Databases[0].Sent[:1] // the reply's outbox cannot be asked
	require.Equal(t, "the message that changed it is not in an outbox that could be asked", after(e.Trail(decode, nil))[1])
	require.Equal(t, final, after(e.Trail(decode, edits))[2], "from the edit on it is known again")
}

// What does not lead to what is stored is not shown as if it had.
func TestTrail_WhatDoesNotAddUpIsNotShown(t *testing.T) {
	t.Parallel()
	e := history(t, `{"item":"chair"}`)
	trail := after(e.Trail(decode, map[int]json.RawMessage{3: json.RawMessage(`{"item":"lamp"}`)}))
	require.Equal(t, "what the messages say does not lead to what is stored", trail[0])
	require.JSONEq(t, `{"item":"chair"}`, trail[3])
}
