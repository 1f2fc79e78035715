package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// report is what explain answers.
type report struct {
	State, Summary    string
	Obstacles, Advice []string
	Timeline          []struct{ Source, Kind, What string }
	Sources           []struct{ Name, Error string }
}

func (r report) events() string {
	var lines []string
	for _, e := range r.Timeline {
		lines = append(lines, fmt.Sprintf("%s %s: %s", e.Source, e.Kind, e.What))
	}
	return strings.Join(lines, "\n")
}

func (r report) failed(source string) string {
	for _, s := range r.Sources {
		if s.Name == source {
			return s.Error
		}
	}
	return "not asked"
}

func (s *system) explain(t *testing.T, id int64) (r report) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(show(t, s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/sagas/%d/explain", id)))), &r))
	return r
}

// sources are what explain asks.
var sources = []string{"orders", "inventory", "outbox-relay", "database orchestrator", "database orders", "database inventory"}

// Explain asks the other services over HTTP, with logins of no database but the orchestrator's own:
// one timeline over all of them, and for each that is frozen or dead a fact in the answer, within
// its time.
func TestExplain_AsksEveryServiceAndNamesThoseThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t))
	first := s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`)
	require.Equal(t, "CONFIRMED", s.outcome(t, first).Status)
	var confirmed report
	await(t, "every source to answer in its time", func() bool {
		confirmed = s.explain(t, first)
		return !slices.ContainsFunc(sources, func(source string) bool { return confirmed.failed(source) != "" })
	})
	events := confirmed.events()
	for _, want := range []string{
		"orders accepted: order accepted over HTTP: 2 × burger for u1",
		"orders sent: OrderCreated committed as outbox row",
		"orchestrator handled: OrderCreated handled by orchestrator from orders.v1/",
		"orchestrator decided: saga started on OrderCreated: RUNNING",
		"orchestrator sent: ReserveInventory committed as outbox row",
		"inventory handled: ReserveInventory handled by inventory-service from inventory.commands.v1/",
		"inventory became: reservation became RESERVED",
		"inventory sent: InventoryReserved committed as outbox row",
		"orchestrator handled: InventoryReserved handled by orchestrator from inventory.v1/",
		"orders handled: ConfirmOrder handled by orders-service from orders.commands.v1/",
		"orders became: order became CONFIRMED",
	} {
		require.Contains(t, events, want)
	}

	s.act(t, stack.Freeze, stack.Inventory)
	second := s.place(t, `{"userId":"u1","sku":"burger","quantity":1}`)
	var waiting report
	await(t, "the order to wait for inventory", func() bool {
		status, answer, _ := call(t, http.MethodGet, s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/sagas/%d", second)), "")
		return status == http.StatusOK && strings.Contains(answer, "ReserveInventory")
	})
	await(t, "the frozen service to be named", func() bool {
		began := time.Now()
		waiting = s.explain(t, second)
		require.Less(t, time.Since(began), 20*time.Second)
		return strings.Contains(strings.Join(waiting.Obstacles, "\n"), "published, not handled by inventory yet: inventory did not answer: no answer from")
	})
	require.Equal(t, "RUNNING", waiting.State)
	require.Regexp(t, `within [0-9.]+s:`, waiting.failed("inventory"))
	require.Empty(t, waiting.failed("database inventory"), "the relay reads its inbox all the same")
	s.act(t, stack.Thaw, stack.Inventory)
	require.Equal(t, "CONFIRMED", s.outcome(t, second).Status)

	s.killByHand(t, stack.Relay)
	third := s.explain(t, s.place(t, `{"userId":"u1","sku":"burger","quantity":1}`))
	require.Equal(t, "NOT_STARTED", third.State)
	require.Contains(t, third.failed("outbox-relay"), "nothing listens at")
	require.Contains(t, strings.Join(third.Obstacles, "\n"), "outbox-relay did not answer: nothing listens at")
}
