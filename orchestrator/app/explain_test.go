package app_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

type explanation struct {
	State, Summary string
	Obstacles      []string
	Timeline       []struct{ Source, Kind, What string }
	Sources        []struct{ Name, Error string }
}

// A service that does not answer is a fact of the report, and delays the answer only briefly: what
// the orchestrator itself knows is said.
func TestExplain_NamesTheServicesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	frozen, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, frozen.Close()) })
	s := startSystem(t, func(c *settings) {
		c.OrdersURL, c.InventoryURL, c.RelayURL = "http://127.0.0.1:1", "http://"+frozen.Addr().String(), "http://127.0.0.1:1"
	})
	status, body := s.do(http.MethodGet, "/v1/sagas/1/explain", "", "")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "no saga, no order and no message in database orchestrator; orders, inventory, outbox-relay did not answer")

	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	var e explanation
	var took time.Duration
	for range 3 { // a machine with much else to do may be slow once
		began := time.Now()
		require.Equal(t, http.StatusOK, s.get("/v1/sagas/1/explain", &e))
		if took = time.Since(began); took < 10*time.Second {
			break
		}
	}
	require.Less(t, took, 10*time.Second)
	require.Equal(t, "RUNNING", e.State)
	require.Contains(t, e.Summary, "Waits for InventoryReserved or InventoryRejected")
	require.Contains(t, strings.Join(e.Obstacles, " "), "outbox-relay did not answer: nothing listens at http://127.0.0.1:1")
	var events []string
	for _, event := range e.Timeline {
		events = append(events, fmt.Sprintf("%s %s: %s", event.Source, event.Kind, event.What))
	}
	timeline := strings.Join(events, "\n")
	for _, want := range []string{
		"orchestrator handled: OrderCreated handled by orchestrator from orders.v1/",
		"orchestrator decided: saga started on OrderCreated: RUNNING",
		"orchestrator sent: ReserveInventory committed as outbox row 1",
	} {
		require.Contains(t, timeline, want)
	}
	require.Len(t, e.Sources, 4)
	require.Contains(t, e.Sources[1].Error, "no answer from")
}

// What is masked stays so where there is no saga to say what is to be masked: none has begun, or
// the request names a definition that has none of this id.
func TestExplain_HidesWhatIsMaskedAlsoWithoutASaga(t *testing.T) {
	t.Parallel()
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"checks":{}}`
		if strings.HasPrefix(r.URL.Path, "/v1/orders/") {
			answer = `{"userId":"m4sked","sku":"burger","quantity":1,"status":"CANCELLED","reason":"because of m4sked"}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(orders.Close)
	masks := filepath.Join(t.TempDir(), "masks.json")
	require.NoError(t, os.WriteFile(masks, []byte(`{"rules":[{"saga":"order","paths":["$.userId"]}]}`), 0o600))
	s := startSystem(t, func(c *settings) {
		withToken(c)
		c.OrdersURL, c.Payloads.Masks.File = orders.URL, masks
	})
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	for _, path := range []string{"1/explain", "1/explain?definition=order", "1/explain?definition=nosuch", "2/explain", "2/explain?definition=order"} {
		_, body := s.do(http.MethodGet, "/v1/sagas/"+path, "", "")
		require.NotContains(t, body, "m4sked", path)
	}
	status, body := s.do(http.MethodGet, "/v1/sagas/2/explain", "", "")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, "order became CANCELLED", "the rest is shown")
	_, body = s.do(http.MethodGet, "/v1/sagas/2/explain", "", token)
	require.Contains(t, body, "because of m4sked", "there was something to hide")
}

// Where several definitions have a saga of an id, the one that is named is explained.
func TestExplain_IsOfTheDefinitionThatIsNamed(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(created(1))
	s.command(1, contracts.TypeReserveInventory, 1)
	_, err := s.db.Pool.Exec(t.Context(), `
insert into sagas (id, definition, version, phase, state, step, revision, steps, data, started_at, updated_at, deadline)
values ('1', 'trip', 1, 'RUNNING', 'RUNNING', 'hotel', 1, '[]', '{}', now(), now(), now() + interval '1 hour')`)
	require.NoError(t, err)
	_, err = s.runCLI("explain", "1")
	require.ErrorContains(t, err, "name one with ?definition= or --definition")
	out, err := s.runCLI("explain", "1", "--definition", "order")
	require.NoError(t, err)
	require.Contains(t, out, "ReserveInventory is outbox row 1")
	out, err = s.runCLI("explain", "1", "--definition", "trip")
	require.NoError(t, err)
	require.Contains(t, out, "trip version 1 is not registered here")
	_, err = s.runCLI("explain", "1", "--definition", "nosuch")
	require.ErrorContains(t, err, "there is no such saga")
}
