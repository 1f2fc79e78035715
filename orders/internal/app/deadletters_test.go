package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/app"
)

const operatorToken = "an-operators-token"

// startForOperators is a running service whose operators have a token.
func startForOperators(t *testing.T, db *pgtest.Database, brokers string) service {
	t.Helper()
	cfg := settings(db, brokers)
	cfg.AdminTokens = config.Secrets{"ada=" + operatorToken}
	return startWith(t, cfg)
}

func startWith(t *testing.T, cfg app.Config) service {
	t.Helper()
	a, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return service{url: "http://" + a.Addr()}
}

// do is an operator's request. header is "Name: value" or empty.
func (s service) do(t *testing.T, method, path, body, header string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	if name, value, ok := strings.Cut(header, ": "); ok {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

func (s service) letters(t *testing.T, query string) (states map[string]string) {
	t.Helper()
	status, body := s.do(t, http.MethodGet, "/v1/dead-letters?"+query, "", "")
	require.Equal(t, http.StatusOK, status, body)
	var page struct {
		DeadLetters []struct{ Type, State string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &page))
	states = map[string]string{}
	for _, l := range page.DeadLetters {
		states[l.Type] = l.State
	}
	return states
}

// A command for an order that is not there yet (the database was restored, say) is set aside, and
// the next command of the order waits, whichever of two instances gets it. Once the order is back,
// the operator redrives the first: both are applied in their order.
func TestOrders_ADeadLetterIsRedrivenOverHTTPAndWhatWaitsFollows(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	s := startForOperators(t, db, broker.Addr())
	startForOperators(t, db, broker.Addr())
	record := func(m contracts.Message) kafkatest.Record {
		encoded, err := contracts.Encode(m)
		require.NoError(t, err)
		record := command(t, m)
		record.Headers = map[string]string{"ce_type": encoded.Type, "ce_id": m.Meta().EventID.String()}
		return record
	}
	envelope := func() contracts.Envelope { return contracts.NewEnvelope(1, uuid.New(), time.Now()) }
	broker.Produce(t, record(contracts.ConfirmOrder{Envelope: envelope()}))
	eventually(t, "the first is dead", func() bool { return s.letters(t, "")["ConfirmOrder"] == "dead" })
	broker.Produce(t, record(contracts.CancelOrder{Envelope: envelope(), Reason: "the customer called"}))
	eventually(t, "the second waits", func() bool { return s.letters(t, "key=1")["CancelOrder"] == "parked" })
	require.Empty(t, s.letters(t, "key=2"))

	eventually(t, "it is said", func() bool {
		_, ready := s.get(t, "/readyz")
		return strings.Contains(ready, "1 dead letters of orders.commands.v1")
	})
	_, metrics := s.get(t, "/metrics")
	require.Contains(t, metrics, `waybill_dead_letters_parked{consumer="orders-service",topic="orders.commands.v1"} 1`)
	_, groups := s.do(t, http.MethodGet, "/v1/dead-letters/groups", "", "")
	require.Contains(t, groups, `"cause":"order … does not exist","count":1,"waiting":1`)
	require.Contains(t, groups, `"hourly":[`+strings.Repeat("0,", 23)+`1]`)
	_, detail := s.do(t, http.MethodGet, "/v1/dead-letters/1", "", "")
	require.Contains(t, detail, `"reason":"order 1 does not exist"`)
	require.Contains(t, detail, `"waiting":[{"id":2,"state":"parked"`)
	status, _ := s.do(t, http.MethodGet, "/v1/dead-letters/999", "", "")
	require.Equal(t, http.StatusNotFound, status)

	note := func(body, header string) (int, string) {
		return s.do(t, http.MethodPut, "/v1/dead-letters/1/group-note", body, header)
	}
	status, written := note(`{"owner":"ann","note":"ticket 981"}`, "")
	require.Equal(t, http.StatusOK, status, written)
	for path, field := range map[string]string{"/v1/dead-letters/groups": "note", "/v1/dead-letters/1": "groupNote"} {
		_, body := s.do(t, http.MethodGet, path, "", "")
		require.Contains(t, body, `"`+field+`":{"owner":"ann","note":"ticket 981","by":"ada","changedAt":"`)
	}
	for header, want := range map[string]int{`If-Match: "2"`: http.StatusPreconditionFailed, "Authorization: Bearer of-nobody": http.StatusUnauthorized} {
		status, body := note(`{"owner":"eve"}`, header)
		require.Equal(t, want, status, body)
	}
	status, written = note(`{}`, `If-Match: "1"`)
	require.Equal(t, http.StatusOK, status, written)
	_, groups = s.do(t, http.MethodGet, "/v1/dead-letters/groups", "", "")
	require.NotContains(t, groups, `"note"`)
	var audited string
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select string_agg(coalesce(before ->> 'owner', '') || '→' || (after ->> 'owner'), ' ' order by seq) from audit_log where action = 'deadletter.note' and actor = 'ada'`).Scan(&audited))
	require.Equal(t, "→ann ann→", audited)

	again := func(path, header string) (int, string) {
		return s.do(t, http.MethodPost, path, `{"reason":"the order is back"}`, header)
	}
	status, body := again("/v1/dead-letters/1/redrive", "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"state":"dead"`, "the order is not back: it says so")
	require.Contains(t, body, `"failures":2`)
	status, _ = again("/v1/dead-letters/1/redrive", `If-Match: "1"`)
	require.Equal(t, http.StatusPreconditionFailed, status)
	status, body = again("/v1/dead-letters/2/redrive", "")
	require.Equal(t, http.StatusConflict, status, body)
	status, body = again("/v1/dead-letters/redrive", "Authorization: Bearer of-nothing-at-all")
	require.Equal(t, http.StatusUnauthorized, status, body)

	s.place(t) // order 1
	status, body = again("/v1/dead-letters/redrive", "")
	require.Equal(t, http.StatusAccepted, status, body)
	require.Contains(t, body, `"count":1,"waiting":1`)
	require.Contains(t, groups, `"hourly":[`+strings.Repeat("0,", 23)+`1]`)
	eventually(t, "both are applied", func() bool {
		states := s.letters(t, "state=any")
		return states["ConfirmOrder"] == "redriven" && states["CancelOrder"] == "redriven"
	})
	var answers []string
	require.NoError(t, db.Pool.QueryRow(t.Context(),
		`select array_agg(type order by id) from outbox where key = '1' and type in ('OrderConfirmed', 'OrderCancelled')`).Scan(&answers))
	require.Equal(t, []string{"OrderConfirmed", "OrderCancelled"}, answers)
	var entries, fromNowhere int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `
select count(*), count(*) filter (where client = '')
  from audit_log where actor = 'ada' and action = 'deadletter.redrive' and object = 'dead-letter/1'`).Scan(&entries, &fromNowhere))
	require.Equal(t, 2, entries)
	require.Zero(t, fromNowhere, "a job's entries say where it was asked for, too")
}

// An edited copy has to be one that the consumer reads; it gets an id of its own.
func TestOrders_ADeadLetterIsEditedOverHTTP(t *testing.T) {
	t.Parallel()
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	s := startForOperators(t, db, broker.Addr())
	s.place(t)
	good, err := contracts.Encode(contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(1, uuid.New(), time.Now())})
	require.NoError(t, err)
	bad := strings.Replace(string(good.Payload), `"orderId":1`, `"orderId":-1`, 1)
	broker.Produce(t, kafkatest.Record{Topic: contracts.TopicOrderCommands, Key: []byte("1"), Value: []byte(bad), Headers: map[string]string{"ce_type": "ConfirmOrder"}})
	eventually(t, "it is dead", func() bool { return s.letters(t, "")["ConfirmOrder"] == "dead" })
	edit := func(payload string, dryRun bool) (int, string) {
		return s.do(t, http.MethodPost, "/v1/dead-letters/1/edit", fmt.Sprintf(`{"reason":"typo","payload":%s,"dryRun":%t}`, payload, dryRun), `If-Match: "1"`)
	}
	for _, dryRun := range []bool{true, false} {
		status, body := edit(bad, dryRun)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Contains(t, body, "orders-service would not take it")
	}
	status, body := edit(string(good.Payload), true)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"id":1,"state":"dead","revision":1`, "a dry run changes nothing")
	status, body = edit(string(good.Payload), false)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"id":2,"state":"dead"`)
	status, body = s.do(t, http.MethodPost, "/v1/dead-letters/2/redrive", `{"reason":"edited"}`, "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"result":"applied"`)
	require.Equal(t, "CONFIRMED", s.status(t, "/v1/orders/1"))
	status, lines := s.do(t, http.MethodGet, "/v1/dead-letters/export?state=any", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 2, strings.Count(lines, "\n"))
	require.Contains(t, lines, `"supersededBy":2`)
}

// An operator sees nothing that is masked of a dead letter, wherever it is shown, and loses nothing
// of it in an edit.
func TestOrders_ADeadLetterIsMaskedAndItsEditKeepsWhatIsHidden(t *testing.T) {
	t.Parallel()
	const canary = "canary@example.com"
	masks := filepath.Join(t.TempDir(), "masks.json")
	require.NoError(t, os.WriteFile(masks, []byte(`{"rules":[{"topic":"*","type":"ConfirmOrder","paths":["$..contact","$.correlationId"]}]}`), 0o600))
	db, broker := pgtest.New(t, migrations.Outbox, migrations.Orders), kafkatest.Start(t, contracts.Topics()...)
	cfg := settings(db, broker.Addr())
	cfg.AdminTokens = config.Secrets{"ada:admin=an-admins-token-it-is", "opa:operator=" + operatorToken}
	cfg.Payloads.Masks.File = masks
	s := startWith(t, cfg)
	good, err := contracts.Encode(contracts.ConfirmOrder{Envelope: contracts.NewEnvelope(1, uuid.New(), time.Now())})
	require.NoError(t, err)
	bad := strings.Replace(string(good.Payload), `"orderId":1`, `"orderId":"`+canary+`","more":{"contact":"`+canary+`"}`, 1)
	broker.Produce(t, kafkatest.Record{Topic: contracts.TopicOrderCommands, Key: []byte("1"), Value: []byte(bad), Headers: map[string]string{"ce_type": "ConfirmOrder"}})
	eventually(t, "it is dead", func() bool { return s.letters(t, "")["ConfirmOrder"] == "dead" })

	for _, path := range []string{"/v1/dead-letters/1", "/v1/dead-letters/export"} {
		status, body := s.do(t, http.MethodGet, path, "", "")
		require.Equal(t, http.StatusOK, status, body)
		require.Contains(t, body, `"contact":"***masked***"`)
		require.NotContains(t, strings.ReplaceAll(body, `"orderId":"`, ""), `"contact":"`+canary)
		_, body = s.do(t, http.MethodGet, path, "", "Authorization: Bearer an-admins-token-it-is")
		require.Contains(t, body, `"contact":"`+canary)
		_, body = s.do(t, http.MethodGet, path, "", "Waybill-Show-To: admin")
		require.NotContains(t, body, `"contact":"`+canary, "nobody sees more than their role may")
	}
	status, body := s.do(t, http.MethodGet, "/v1/dead-letters?reason="+canary, "", "")
	require.Equal(t, http.StatusUnprocessableEntity, status, body)

	shown := strings.Replace(string(good.Payload), `"orderId":1`, `"orderId":1,"more":{"contact":"***masked***"}`, 1)
	edit := func(payload, kind string) (int, string) {
		return s.do(t, http.MethodPost, "/v1/dead-letters/1/edit", fmt.Sprintf(`{"reason":"typo","payload":%s,"type":%q}`, payload, kind), `If-Match: "1"`)
	}
	status, body = edit(strings.Replace(shown, `"more"`, `"other"`, 1), "")
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Contains(t, body, `/other/contact`, "a placeholder that stands for nothing")
	status, body = edit(shown, "CancelOrder")
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Contains(t, body, "would not be hidden in a message of the type CancelOrder")
	status, body = edit(shown, "")
	require.Equal(t, http.StatusOK, status, body)
	require.NotContains(t, body, canary)
	var kept string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select convert_from(payload, 'UTF8') from dead_letters where id = 2`).Scan(&kept))
	require.Contains(t, kept, `"more":{"contact":"`+canary+`"}`)
	require.NotContains(t, kept, "masked")
}
