package app_test

import (
	"bufio"
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

	"waybill/contracts"
	"waybill/devstack/kafkatest"
	"waybill/orchestrator/internal/app"
)

const token = "correct-horse"

func withToken(c *app.Config) { c.AdminTokens = []string{"ann=" + token} }

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
	status, body = s.do(http.MethodPost, "/v1/sagas/1/cancel", `{}`, token)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
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
	s := startSystem(t, withToken)
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
	soon := time.Now().Add(5 * time.Second).UTC().Truncate(time.Second)
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

// events follows a stream and returns its events' names as they come.
// Whoever holds a token must not be able to write a line into the timeline that somebody else seems to
// have caused, or anything that acts on the terminal of whoever reads it.
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

// A reply that names no command was sent by somebody who has not seen one; an event of Inventory on
// Orders' topic by somebody who may not write Inventory's.
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

func (s *system) events(path string) <-chan string {
	events := make(chan string, 100)
	go func() {
		defer close(events)
		response, err := http.Get("http://" + s.addr + path)
		if err != nil {
			events <- err.Error()
			return
		}
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				events <- event
			}
		}
	}()
	return events
}

func TestAStreamTellsEachTransitionUntilTheEnd(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	reserve := s.command(1, contracts.TypeReserveInventory, 1)
	events := s.events("/v1/sagas/1/stream")
	require.Equal(t, "transition", <-events)
	s.send(contracts.InventoryRejected{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reason: "none left"})
	require.Equal(t, "transition", <-events)
	cancel := s.command(1, contracts.TypeCancelOrder, 1)
	s.send(contracts.OrderCancelled{Envelope: contracts.NewEnvelope(1, cancel, time.Now()), Reason: "none left"})
	require.Equal(t, "transition", <-events)
	require.Equal(t, "end", <-events)
	_, open := <-events
	require.False(t, open)
}

func TestAnOpenStreamDoesNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	response, err := http.Get("http://" + s.addr + "/v1/sagas/1/stream")
	require.NoError(t, err)
	defer response.Body.Close()
	began := time.Now()
	s.stop()
	require.Less(t, time.Since(began), 8*time.Second)
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

	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	var stats struct {
		Started int
		Open    []struct {
			State string
			Count int
		}
	}
	require.Equal(t, http.StatusOK, s.get("/v1/sagas/stats", &stats))
	require.Equal(t, 1, stats.Started)
	require.Equal(t, "RUNNING", stats.Open[0].State)
	require.Equal(t, http.StatusUnprocessableEntity, s.get("/v1/sagas/stats?window=2h", nil))
	status, body = s.do(http.MethodGet, "/openapi.json", "", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "/v1/sagas/{orderId}/stream")
}
