package app_test

import (
	"fmt"
	"net"
	"net/http"
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
