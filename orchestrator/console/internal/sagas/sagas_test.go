package sagas

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Large numbers keep their digits, names their order, and a field that came or went is not one
// that is null.
func TestChanges_ToTheLastDigit(t *testing.T) {
	t.Parallel()
	require.Equal(t, []change{
		{"/a~1b", "", "null"}, {"/gone", `"<x>"`, ""},
	}, changes(json.RawMessage(`{"gone":"<x>"}`), json.RawMessage(`{"a/b":null}`)))
	require.Equal(t, []change{{"/n", "9007199254740993", "9007199254740992"}}, changes(json.RawMessage(`{"n":9007199254740993}`), json.RawMessage(`{"n":9007199254740992}`)))
	require.Equal(t, []change{{"/n", "", "1"}}, changes(nil, json.RawMessage(`{"n":1}`)))
	require.Empty(t, changes(json.RawMessage(`{"a":1,"b":[1]}`), json.RawMessage(`{"b":[1],"a":1}`)))
}

// Every filter is in the URL, and comes back from it.
func TestFilter_IsTheURL(t *testing.T) {
	t.Parallel()
	q, err := url.ParseQuery("state=RUNNING&definition=order%401&step=reserve&attempt=2&olderThan=10m&attr=sku%3Dburger&overdue=true&stuck=true&saga=order%2F1&cursor=x")
	require.NoError(t, err)
	f := filterOf(q)
	require.Equal(t, "attempt=2&attr=sku%3Dburger&definition=order&olderThan=10m&overdue=true&state=RUNNING&step=reserve&stuck=true&version=1", f.query().Encode())
	again, err := url.ParseQuery(f.batchQuery())
	require.NoError(t, err)
	require.Equal(t, f, filterOf(again))
	body := batch{Filter: f, Request: saga.Request{Action: saga.ActRetry}}.body("why")["filter"]
	require.Equal(t, map[string]any{
		"state": "RUNNING", "definition": "order", "version": 1, "step": "reserve", "attempt": 2, "olderThan": "10m", "overdue": true, "stuck": true,
		"attributes": map[string]string{"sku": "burger"}, "sagas": []string{"order/1"},
	}, body)
}

func TestRequest_SaysWhatIsWrongWithAForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	q, err := request(url.Values{"action": {"move-deadline"}, "step": {"reserve"}, "in": {"10m"}}, now)
	require.NoError(t, err)
	require.Equal(t, now.Add(10*time.Minute), q.To)
	_, err = request(url.Values{"action": {"edit-data"}, "patch": {"{"}}, now)
	require.Equal(t, page.Invalid("The patch is not JSON."), err)
	_, err = request(url.Values{"action": {"move-deadline"}, "in": {"soon"}}, now)
	require.Error(t, err)
}

// nasty is a message whose parts try to leave the literal that they are put into.
func nasty(messageType, payload string, cause *uuid.UUID) explain.SentMessage {
	return explain.SentMessage{
		Database: "orders", ID: 7, EventID: uuid.New(), Topic: "orders.v1", Key: `1'; drop table outbox; --`, Type: messageType,
		Payload: (*masking.Rules)(nil).Saga(admin.Reader, "", []byte(payload)), PayloadBytes: int64(len(payload)), Cause: cause, Headers: map[string]string{"note": `it's \ "quoted"`},
	}
}

// What is copied as SQL is what was sent, byte for byte.
func TestSnippets_SQLIsRunByPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox).Pool
	for _, payload := range []string{`{"big":9007199254740993,"text":"it's \\ \"quoted\""}`, "{\"lines\":\n1}", `"$1 E'\\' "`, "\"\u202e\""} {
		m := nasty("OrderCreated", payload, nil)
		_, err := db.Exec(t.Context(), sqlOf(m))
		require.NoError(t, err, sqlOf(m))
		require.Equal(t, payload, payloadOf(t, db, m.EventID))
	}
}

func payloadOf(t *testing.T, db *pgxpool.Pool, event uuid.UUID) (payload string) {
	t.Helper()
	var key, note string
	require.NoError(t, db.QueryRow(t.Context(), `select convert_from(payload, 'UTF8'), key, headers ->> 'note' from outbox where event_id = $1`, event).Scan(&payload, &key, &note))
	require.Equal(t, `1'; drop table outbox; --`, key)
	require.Equal(t, `it's \ "quoted"`, note)
	return payload
}

// A saga that is copied as a Go test is a test that compiles and passes: it goes the same way
// again.
func TestSnippets_TheGoTestPasses(t *testing.T) {
	t.Parallel()
	definition, err := ordersaga.Definition(ordersaga.DefaultTiming())
	require.NoError(t, err)
	created := nasty("OrderCreated", `{"eventId":"0199aaaa-0000-7000-8000-000000000001","type":"OrderCreated","time":"2026-01-02T03:04:05Z","orderId":1,"userId":"`+"`"+`u","sku":"burger","quantity":1}`, nil)
	command := nasty("ReserveInventory", `{}`, &created.EventID)
	reply := nasty("InventoryRejected", `{"eventId":"0199aaaa-0000-7000-8000-000000000002","type":"InventoryRejected","time":"2026-01-02T03:04:05Z","orderId":1,"reserved":false,"reason":"sold out"}`, &command.EventID)
	cancel := nasty("CancelOrder", `{}`, &reply.EventID)
	cancelled := nasty("OrderCancelled", `{"eventId":"0199aaaa-0000-7000-8000-000000000003","type":"OrderCancelled","time":"2026-01-02T03:04:05Z","orderId":1}`, &cancel.EventID)
	text := testOf(httpapi.Detail{
		ID: "a/b\n1", Definition: "order", Version: 1, State: "CANCELLED", Timeline: []inspect.Line{
			{Kind: "started", CauseType: "OrderCreated", Commands: []store.Sent{{Type: "ReserveInventory"}}},
			{Kind: "replied", CauseType: "InventoryRejected", Commands: []store.Sent{{Type: "CancelOrder"}}},
			{Kind: "replied", CauseType: "OrderCancelled"},
		},
	}, []explain.SentMessage{created, command, reply, cancel, cancelled}, definition.Describe())

	workspace, err := filepath.Abs("../../..")
	require.NoError(t, err)
	dir, err := os.MkdirTemp(workspace, "_pasted_") //nolint:usetesting // within the module, which the pasted test imports
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	source := `package pasted

import (
	"testing"

	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/sagatest"
)

func definition(t *testing.T) *saga.Definition {
	d, err := ordersaga.Definition(ordersaga.DefaultTiming())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

` + text
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pasted_test.go"), []byte(source), 0o600))
	run := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "TestSaga_", "-v", ".")
	run.Dir = dir
	output, err := run.CombinedOutput()
	require.NoError(t, err, "%s\n%s", output, source)
	require.Contains(t, string(output), "--- PASS: TestSaga_")
}

// The bars of a bill fill a thousand, and what was idle takes none where it is hidden.
func TestBill_IsDrawnToScale(t *testing.T) {
	t.Parallel()
	b := &explain.Bill{TotalMS: 1000, Legs: []explain.Leg{{Part: explain.PartTransaction, MS: 100}, {Part: explain.PartWait, MS: 800}, {Part: explain.PartRelay, MS: 100}}}
	shown, hidden := drawn(b, true), drawn(b, false)
	require.InDelta(t, 100, shown.Legs[0].Width, 0.1)
	require.InDelta(t, 900, shown.Legs[2].X, 0.1)
	require.Equal(t, "waited", shown.Parts[0].Name)
	require.Len(t, hidden.Legs, 2)
	require.InDelta(t, 500, hidden.Legs[1].X, 0.1)
	require.Nil(t, drawn(nil, true))
}
