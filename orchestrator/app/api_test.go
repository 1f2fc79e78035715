package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/contracts"
	"waybill.example/devstack/kafkatest"
)

const token = "correct-horse-battery"

func withToken(c *settings) { c.AdminTokens = []string{"ann=" + token} }

// do sends a request with the token and returns status and body.
func (s *system) do(method, path, body, bearer string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(content)
}

type outcome struct {
	State    string
	Observed string
	Answered bool
	Recorded struct{ Actor, Note string }
}

func (s *system) intervene(path, body string) outcome {
	s.t.Helper()
	status, content := s.do(http.MethodPost, path, body, token)
	require.Equal(s.t, http.StatusOK, status, content)
	var o outcome
	require.NoError(s.t, json.Unmarshal([]byte(content), &o))
	return o
}

func TestWithoutATokenNobodyIntervenes(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	status, body := s.do(http.MethodPost, "/v1/sagas/1/cancel", `{"reason":"x"}`, token)
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "ORCHESTRATOR_ADMIN_TOKENS")
	s.stop()
	s.start(withToken)
	for _, bearer := range []string{"", "wrong", token + "x"} {
		status, body = s.do(http.MethodPost, "/v1/sagas/1/cancel", `{"reason":"x"}`, bearer)
		require.Equal(t, http.StatusUnauthorized, status, body)
	}
	status, body = s.do(http.MethodPost, "/v1/sagas/1/cancel", `{"reason":"x"}`, token)
	require.Equal(t, http.StatusNotFound, status, body)
	for _, nothing := range []string{`{}`, `{"reason":""}`, `{"reason":"  "}`, `{"reason":"\u00a0"}`, `{"reason":"\u2003 "}`} {
		status, body = s.do(http.MethodPost, "/v1/sagas/1/cancel", nothing, token)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
	}
}

func TestAnInterventionIsRecordedAndReportsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)

	silent := s.intervene("/v1/sagas/1/retry?wait=0.2", `{"reason":"looks lost"}`)
	require.False(t, silent.Answered)
	require.Contains(t, silent.Observed, "no reply to ReserveInventory")
	require.Contains(t, silent.Observed, "pending", "the relay has not published the command")
	require.Equal(t, "ann", silent.Recorded.Actor)
	require.Equal(t, "looks lost", silent.Recorded.Note)

	answered := make(chan outcome, 1)
	go func() { answered <- s.intervene("/v1/sagas/1/retry?wait=10", `{"reason":"again","step":"reserve"}`) }()
	s.send(reserved(1, s.command(1, contracts.TypeReserveInventory, 3)))
	o := <-answered
	require.True(t, o.Answered)
	require.Contains(t, o.Observed, "InventoryReserved came within")

	forced := s.intervene("/v1/sagas/1/force", `{"reason":"confirmed by phone","end":"CONFIRMED"}`)
	require.Equal(t, "CONFIRMED", forced.State)
	status, body := s.do(http.MethodPost, "/v1/sagas/1/retry", `{"reason":"x"}`, token)
	require.Equal(t, http.StatusConflict, status, body)
	status, body = s.do(http.MethodPost, "/v1/sagas/1/force", `{"reason":"x","end":"DONE"}`, token)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	require.Equal(t, "COMPENSATING", s.intervene("/v1/sagas/1/cancel?wait=0", `{"reason":"the client called"}`).State)
}

func TestDeadlinesAreListedMovedAndRevoked(t *testing.T) {
	t.Parallel()
	s := startSystem(t, func(c *settings) {
		withToken(c)
		c.Timing.ReserveWithin = time.Hour // no deadline comes meanwhile
	})
	s.send(created(1), created(2))
	s.command(1, contracts.TypeReserveInventory, 1)
	s.command(2, contracts.TypeReserveInventory, 1)
	type deadlines struct {
		Deadlines []struct {
			Saga, Step string
			DueAt      time.Time
		}
	}
	due := func() (list deadlines) {
		require.Equal(t, http.StatusOK, s.get("/v1/deadlines", &list))
		return list
	}
	require.Len(t, due().Deadlines, 2)
	soon := time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	status, body := s.do(http.MethodPut, "/v1/sagas/2/deadlines/reserve", fmt.Sprintf(`{"reason":"hurry","to":%q}`, soon.Format(time.RFC3339)), token)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "2", due().Deadlines[0].Saga)
	require.WithinDuration(t, soon, due().Deadlines[0].DueAt, 0)
	status, body = s.do(http.MethodDelete, "/v1/sagas/2/deadlines/reserve?reason=patience", "", token)
	require.Equal(t, http.StatusOK, status, body)
	require.Len(t, due().Deadlines, 1)
	status, body = s.do(http.MethodDelete, "/v1/sagas/2/deadlines/confirm?reason=x", "", token)
	require.Equal(t, http.StatusConflict, status, body)
}

// The holder of a token must not be able to write a line into the timeline that another operator
// seems to have caused, or anything that acts on the terminal of a reader.
func TestAReasonIsOneLineOfPlainText(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	for _, bad := range []string{`ok\n19:00:00.000 +1ms intervened force by carol`, `\u001b[2K`, `\u009b1A`, `\u202e`, `\u2028`} {
		for _, verb := range []string{"retry", "cancel"} {
			status, body := s.do(http.MethodPost, "/v1/sagas/1/"+verb, `{"reason":"`+bad+`"}`, token)
			require.Equal(t, http.StatusUnprocessableEntity, status, body)
		}
		status, body := s.do(http.MethodPost, "/v1/sagas/1/force", `{"reason":"`+bad+`","end":"CONFIRMED"}`, token)
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
	}
	status, body := s.do(http.MethodDelete, "/v1/sagas/1/deadlines/reserve?reason=ok%0Aforged", "", token)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
}

// A reply that names no command was sent by a service that has not seen one; an event of Inventory
// on Orders' topic by one that may not write Inventory's.
func TestAReplyIsBelievedOnItsTopicAndWithItsCause(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	command := s.command(1, contracts.TypeReserveInventory, 1)
	s.send(reserved(1, uuid.Nil))
	elsewhere, err := contracts.Encode(reserved(1, command))
	require.NoError(t, err)
	s.broker.Produce(t, kafkatest.Record{Topic: contracts.TopicOrders, Key: []byte("1"), Value: elsewhere.Payload, Headers: elsewhere.Headers})
	var letters []string
	s.eventually(func() bool {
		rows, err := s.db.Pool.Query(t.Context(), "select topic from outbox where topic like '%.dlq' order by topic")
		require.NoError(t, err)
		letters, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return len(letters) == 2
	}, "both are set aside")
	require.Equal(t, []string{"inventory.v1.dlq", "orders.v1.dlq"}, letters)
	require.Equal(t, "RUNNING", s.saga(1).State)
}

// event is one of a stream; a comment has its text alone.
// follow reads a stream as a browser does, and returns its status.
// A client that is cut off goes on where it was, and one that has seen the end is answered so that
// it stops: an EventSource connects again until it is answered 204.
// What an operator decided about is what is acted on.
func TestInterventions_ActOnWhatWasSeen(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	do := func(method, path, body, ifMatch string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("If-Match", ifMatch)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode, response.Header.Get("ETag")
	}
	_, seen := do(http.MethodGet, "/v1/sagas/1", "", "")
	require.Equal(t, `"1"`, seen)
	soon := time.Now().Add(time.Hour).Format(time.RFC3339)
	for _, in := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/sagas/1/retry?wait=0", `{"reason":"x"}`},
		{http.MethodPost, "/v1/sagas/1/cancel?wait=0", `{"reason":"x"}`},
		{http.MethodPost, "/v1/sagas/1/force?wait=0", `{"reason":"x","end":"CONFIRMED"}`},
		{http.MethodPut, "/v1/sagas/1/deadlines/reserve?wait=0", `{"reason":"x","to":"` + soon + `"}`},
		{http.MethodDelete, "/v1/sagas/1/deadlines/reserve?wait=0&reason=x", ""},
	} {
		status, _ := do(in.method, in.path, in.body, `"7"`)
		require.Equal(t, http.StatusPreconditionFailed, status, in.path)
		status, _ = do(in.method, in.path, in.body, `seven`)
		require.Equal(t, http.StatusBadRequest, status, in.path)
		status, _ = do(in.method, in.path, in.body, `W/"1", "7"`)
		require.Equal(t, http.StatusPreconditionFailed, status, in.path)
	}
	status, now := do(http.MethodPost, "/v1/sagas/1/retry?wait=0", `{"reason":"x"}`, `"7", `+seen)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, `"2"`, now)
	status, _ = do(http.MethodPost, "/v1/sagas/1/force?wait=0", `{"reason":"x","end":"CANCELLED"}`, seen)
	require.Equal(t, http.StatusPreconditionFailed, status, "a double click acts once")
	status, _ = do(http.MethodPost, "/v1/sagas/1/force?wait=0", `{"reason":"x","end":"CANCELLED"}`, now)
	require.Equal(t, http.StatusOK, status)
	status, _ = do(http.MethodPost, "/v1/sagas/1/force?wait=0", `{"reason":"x","end":"CONFIRMED"}`, "*")
	require.Equal(t, http.StatusConflict, status, "an ended saga is not forced")
}

// The client's fault is no fault of the orchestrator: nothing of this is a 500 or an error in the
// log.
func TestAPI_WhatCannotBeTextIsTheClientsFault(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	cursor := func(id string) string {
		return httpserver.EncodeCursor("2026-01-01T00:00:00Z", "order", id)
	}
	for _, path := range []string{
		"/v1/sagas/%00", "/v1/sagas/%ff", "/v1/sagas/%00/explain", "/v1/sagas/%ff/explain", "/v1/sagas/%00/stream",
		"/v1/sagas?attr=sku%3D%00", "/v1/sagas?attr=sku", "/v1/sagas?attr=sku%3D1&attr=sku%3D2", "/v1/sagas?definition=%00", "/v1/sagas?definition=%ff", "/v1/sagas?state=%00",
		"/v1/sagas?cursor=" + cursor("a\x00b"), "/v1/sagas?cursor=" + cursor("\xff"), "/v1/sagas/1?definition=%00",
		"/v1/sagas?stat=RUNNING", "/v1/sagas/1?foo=1", "/v1/stats?foo=1", "/v1/deadlines?foo=1", "/v1/definitions?foo=1",
		"/v1/sagas/1/stream?foo=1", "/v1/sagas/1/explain?foo=1",
	} {
		status, body := s.do(http.MethodGet, path, "", "")
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, "%s: %s", path, body)
	}
	for path, body := range map[string]string{
		"/v1/sagas/1/cancel":     `{"reason":"a\u0000b"}`,
		"/v1/sagas/1/force":      `{"reason":"a","end":"CANCELLED\u0000"}`,
		"/v1/sagas/1/retry":      `{"reason":"a","step":"re\u0000serve"}`,
		"/v1/sagas/%00/cancel":   `{"reason":"a"}`,
		"/v1/sagas/%ff/retry":    `{"reason":"a"}`,
		"/v1/sagas/1/retry?to=1": `{"reason":"a"}`,
	} {
		status, answer := s.do(http.MethodPost, path, body, token)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, "%s: %s", path, answer)
	}
	status, answer := s.do(http.MethodPost, "/v1/sagas/1/cancel", `{"reason":"\ud800"}`, token)
	require.Equal(t, http.StatusBadRequest, status, answer)
	for _, to := range []string{"0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"} {
		status, body := s.do(http.MethodPut, "/v1/sagas/1/deadlines/reserve", `{"reason":"x","to":"`+to+`"}`, token)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", to, body)
	}
	require.Equal(t, http.StatusOK, s.get("/v1/deadlines", nil))
}

func TestDefinitionsAndStatisticsAreShown(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	for format, want := range map[string]string{"json": `"name":"order"`, "mermaid": "stateDiagram-v2", "svg": "<svg "} {
		status, body := s.do(http.MethodGet, "/v1/definitions/order?format="+format, "", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, want)
	}
	status, _ := s.do(http.MethodGet, "/v1/definitions/nothing", "", "")
	require.Equal(t, http.StatusNotFound, status)
	status, body := s.do(http.MethodGet, "/v1/definitions", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "inventory did not answer")
	versions := func() string {
		status, body := s.do(http.MethodGet, "/v1/versions", "", "")
		require.Equal(t, http.StatusOK, status)
		return body
	}
	require.Contains(t, versions(), `{"definition":"order","version":1,"registered":true,"open":0,"ended":0,"removable":true}`)

	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	require.Contains(t, versions(), `"open":1,"ended":0,"removable":false`)
	var stats struct {
		Started int
		Open    []struct {
			State string
			Count int
		}
	}
	require.Equal(t, http.StatusOK, s.get("/v1/stats", &stats))
	require.Equal(t, 1, stats.Started)
	require.Equal(t, "RUNNING", stats.Open[0].State)
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/stats?window=2h", nil))
	status, body = s.do(http.MethodGet, "/openapi.json", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "/v1/sagas/{id}/stream")
}

// Nothing has a number that a column cannot hold: that is no fault of the service.
func TestAPI_NumbersBeyondAColumnAreTheClientsFault(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	for path, status := range map[string]int{
		"/v1/sagas?version=2147483647": http.StatusOK, "/v1/sagas?version=2147483648": http.StatusUnprocessableEntity,
		"/v1/sagas?version=99999999999": http.StatusUnprocessableEntity, "/v1/sagas?attempt=9223372036854775807": http.StatusUnprocessableEntity,
		"/v1/definitions/order?version=99999999999": http.StatusUnprocessableEntity, "/v1/sagas/1/stream?version=1": http.StatusUnprocessableEntity,
	} {
		got, body := s.do(http.MethodGet, path, "", token)
		require.Equal(t, status, got, "%s: %s", path, body)
	}
	for path, body := range map[string]string{
		"/v1/saga-batches?dryRun=true":  `{"filter":{"version":99999999999},"intervention":{"action":"retry"},"reason":"x"}`,
		"/v1/saga-batches?dryRun=false": `{"filter":{"version":2147483648},"intervention":{"action":"retry"},"reason":"x"}`,
		"/v1/sagas/1/retry?wait=NaN":    `{"reason":"x"}`,
		"/v1/sagas/1/retry?wait=-Inf":   `{"reason":"x"}`,
	} {
		got, answer := s.do(http.MethodPost, path, body, token)
		require.Equal(t, http.StatusUnprocessableEntity, got, "%s: %s", path, answer)
	}
	got, answer := s.do(http.MethodPost, "/v1/definitions/order/versions/99999999999/suspend", `{"reason":"x"}`, token)
	require.Equal(t, http.StatusBadRequest, got, answer)
}
