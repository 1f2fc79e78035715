package browsertest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// The relay is killed from the console, which shows that, and that everything recovers once it is
// started again. No other test may need the relay meanwhile.
func TestBreakIt_TheRelayIsKilledAndRecovers(t *testing.T) { //nolint:paralleltest // it kills the relay of all tests
	tab := open(t, adminToken)
	t.Cleanup(func() { _ = tab.world.stack.Act(context.WithoutCancel(t.Context()), stack.Start, stack.Relay) }) // it runs already, unless the test failed
	tab.visit("/outbox")
	tab.awaitText("#live", "orders")
	tab.visit("/break-it")
	tab.awaitText("#live", "Everything runs")
	tab.accessible()
	tab.shot("break-it")
	tab.click(`button[aria-label="kill outbox-relay"]`)
	tab.awaitText("#did", "outbox-relay was killed")
	tab.awaitText("#process-outbox-relay", "stopped")
	tab.awaitText("#live", "outbox-relay is stopped")
	tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, false)
	tab.visit("/outbox")
	tab.awaitText("#notice-relay", "no relay answers")
	tab.accessible()

	tab.visit("/break-it")
	tab.click(`button[aria-label="start outbox-relay"]`)
	tab.awaitText(".watch", "everything runs, and nothing waits")
	tab.awaitText("#live", "Everything runs")
	tab.accessible()
	tab.shot("break-it-recovered")
	tab.visit("/outbox")
	tab.await(`!document.querySelector("#notice-relay")`)
}

// Stopped as an operator stops it, and started again.
func TestBreakIt_AServiceIsStoppedAndStarted(t *testing.T) { //nolint:paralleltest // it stops what all tests need
	tab := open(t, adminToken)
	t.Cleanup(func() { _ = tab.world.stack.Act(context.WithoutCancel(t.Context()), stack.Start, stack.Inventory) })
	tab.visit("/break-it")
	tab.click(`button[aria-label="stop inventory"]`)
	tab.awaitText("#did", "inventory was stopped")
	tab.awaitText("#process-inventory", "stopped")
	order := tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, false)
	tab.click(`button[aria-label="start inventory"]`)
	tab.awaitText("#process-inventory", "running")
	tab.becomes(order, "CONFIRMED")
}

// What is paused stays so until it is resumed, and every page says it.
func TestOutbox_IsPausedAndResumed(t *testing.T) { //nolint:paralleltest // it pauses what all tests need
	tab := open(t, operatorToken)
	pause, resume := `details[id="action:/outbox/orders/pause"]`, `details[id="action:/outbox/orders/resume"]`
	tab.visit("/outbox")
	tab.click(pause + " summary")
	tab.shot("outbox-pause")
	tab.fill(pause+" input[name=reason]", "a consumer misbehaves")
	tab.click(pause + " button.primary")
	tab.awaitText("#database-orders", "Paused by an operator")
	order := tab.world.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, false)
	tab.visit("/outbox/orders")
	tab.awaitText("#live", "1 row")
	tab.shot("outbox-paused")
	tab.click(resume + " summary")
	tab.fill(resume+" input[name=reason]", "it was fixed")
	tab.click(resume + " button.primary")
	tab.awaitText("#live", "Everything is published")
	tab.visit("/audit-log?object=outbox&database=orders")
	tab.awaitText("#live", "outbox.resume")
	tab.awaitText("#live", "true") // paused, before
	tab.becomes(order, "CONFIRMED")
}

func TestAuditLog_IsVerifiedAndTakenAway(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	tab.visit("/audit-log")
	tab.awaitText("#live", "stock.set")
	tab.click("form[hx-post$=verify] button")
	tab.awaitText("#verified", "none changed or removed")
	tab.accessible()
	tab.shot("audit-verified")
	csv := eval[string](tab, `fetch("/audit-log.csv?action=stock.set").then(r => r.text())`)
	require.True(t, strings.HasPrefix(csv, "database,seq,at,actor"), csv)
	require.Contains(t, csv, "inventory,1,")
	lines := eval[string](tab, `fetch("/audit-log.jsonl").then(r => r.text())`)
	require.Contains(t, lines, `{"database":"inventory","seq":1,`)
	viewer := open(t, viewerToken)
	viewer.tolerate("403")
	viewer.visit("/audit-log")
	viewer.awaitText("#live", "hidden")
	require.InDelta(t, 403, eval[float64](viewer, `fetch("/audit-log.csv").then(r => r.status)`), 0)
}

// Each page answers as JSON what it shows, at the same URL.
func TestQueues_EachPageAnswersJSON(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	row, letter := w.stuckRows(t, "json.v1", "k", 1), w.deadLetter(t, 8_900_000_123, "")
	tab := open(t, adminToken)
	for _, path := range []string{
		"/outbox", "/outbox/orders", "/outbox/orders?show=gaps", "/outbox/orders?show=parked", "/outbox/orders?show=pending", "/outbox/orders?show=replays",
		fmt.Sprintf("/outbox/orders/rows/%d", row), "/outbox/orders/replay", "/dead-letters", "/dead-letters/all",
		fmt.Sprintf("/dead-letters/orders/%d", letter), fmt.Sprintf("/dead-letters/orders/%d/edit", letter), "/batches", "/audit-log", "/break-it",
	} {
		answer := eval[map[string]any](tab, fmt.Sprintf(`fetch(%q, {headers: {Accept: "application/json"}}).then(r => r.json())`, path))
		require.Contains(t, answer, "data", path)
		require.NotEmpty(t, answer["title"], path)
	}
}
