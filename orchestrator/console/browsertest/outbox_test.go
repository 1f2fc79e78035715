package browsertest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/broker"
	"waybill.example/devstack/stack"
)

func TestOutbox_AStuckRowIsSeenRetriedAndGone(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	topic, key := "stuck-"+uuid.NewString(), "key "+hostile
	id := w.stuckRows(t, topic, key, 3)
	tab := open(t, operatorToken)
	tab.visit("/outbox")
	tab.awaitText("#live", topic)
	tab.harmless()
	tab.accessible()
	tab.shot("outbox")

	tab.visit("/outbox/orders?show=stuck")
	tab.awaitText("#live", topic)
	tab.awaitText("#live", "<script>") // of the key
	tab.accessible()
	tab.shot("outbox-database")
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	tab.awaitText("#live", "Kafka refuses it")
	tab.awaitText(".payload", "9007199254740993")
	tab.harmless()
	tab.accessible()
	tab.shot("outbox-row")
	tab.scheme("dark")
	tab.shot("outbox-row-dark")
	tab.phone()
	tab.shot("outbox-row-phone")
	tab.visit("/outbox")
	tab.awaitText("#live", topic)
	tab.phone()
	tab.shot("outbox-phone")
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	tab.awaitText("#live", "Kafka refuses it")

	// A person has to ask for it: the relay would try it again by itself after a while.
	w.exec(t, "orders", "update outbox_stuck set next_attempt_at = now() + interval '1 hour' where topic = $1 and not parked", topic)
	require.NoError(t, broker.CreateTopics(t.Context(), w.broker(), 1, topic))
	retry := fmt.Sprintf(`details[id="action:/outbox/orders/rows/%d/retry"]`, id)
	tab.tolerate("412") // the relay may have tried it by itself since it was looked at
	tab.until("#live", "Published to "+topic, func() {
		tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
		if eval[bool](tab, fmt.Sprintf("!document.querySelector(%q)", retry+" summary")) {
			return // it is published
		}
		tab.click(retry + " summary")
		tab.fill(retry+" input[name=reason]", "the topic was made "+hostile)
		tab.shot("outbox-retry")
		tab.click(retry + " button.primary")
	})
	tab.visit("/outbox/orders")
	tab.awaitGone("#live", topic+" ") // the group
	tab.visit("/audit-log?actor=olga")
	tab.awaitText("#live", fmt.Sprintf("outbox/%d", id))
	tab.awaitText("#live", "the topic was made <script>")
	tab.harmless()
	tab.accessible()
	tab.shot("audit-log")
}

func TestOutbox_ReplayIsPreviewedAndConfirmedByItsCount(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	topic := "replayed-" + uuid.NewString()
	require.NoError(t, broker.CreateTopics(t.Context(), w.broker(), 1, topic))
	id := w.stuckRows(t, topic, "replayed-"+topic, 2)
	require.Eventually(t, func() bool {
		return query[string](t, w, "orders", "select status from outbox_status where id = $1", id+1) == "published"
	}, patience, 50*time.Millisecond)
	tab := open(t, adminToken)
	tab.visit("/outbox/orders/replay?key=replayed-" + topic)
	tab.click("form.form button.primary")
	tab.awaitText("#plan", "It would send 2 rows")
	tab.accessible()
	tab.shot("replay")
	tab.fill("#plan input[name=reason]", "a consumer lost them")
	tab.fill("#plan input[name=count]", "2")
	tab.click("#plan button.primary")
	tab.awaitText("#plan output", "sends 2 rows")
	tab.visit("/outbox/orders?show=replays")
	tab.awaitText("#live", "done")
	tab.accessible()
	tab.shot("replays")
}

// A viewer sees what stands where, and nothing that a message carries: neither in the page nor in
// its JSON.
func TestOutbox_IsMaskedForViewers(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	id := w.stuckRows(t, "stuck-"+uuid.NewString(), "key-of-a-person", 1)
	tab := open(t, viewerToken)
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	tab.awaitText("#live", "the role viewer does not see")
	tab.accessible()
	for _, path := range []string{"/outbox", "/outbox/orders?show=stuck", "/outbox/orders?show=recent", fmt.Sprintf("/outbox/orders/rows/%d", id)} {
		for _, accept := range []string{"text/html", "application/json"} {
			body := eval[string](tab, fmt.Sprintf("fetch(%q, {headers: {Accept: %q}}).then(r => r.text())", path, accept))
			require.NotContains(t, body, "9007199254740993", path)
			require.NotContains(t, body, "key-of-a-person", path)
		}
	}
	require.Equal(t, "vic has the role viewer; this needs operator", eval[string](tab, `document.querySelector("#live .button[aria-disabled]").dataset.why`))
}

// A row that is never to be sent is discarded, and the page of the row says so.
func TestOutbox_ARowIsDiscarded(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	id := w.stuckRows(t, "discarded-"+uuid.NewString(), "k", 1)
	tab := open(t, operatorToken)
	page := fmt.Sprintf("/outbox/orders/rows/%d", id)
	form := fmt.Sprintf(`details[id="action:%s/discard"]`, page)
	tab.tolerate("412") // the relay may have tried it again since it was looked at
	tab.until(form+" output", "it is never sent", func() {
		tab.visit(page)
		tab.awaitText("#live", "Kafka refuses it")
		tab.opened(form)
		tab.fill(form+" input[name=reason]", "written by mistake")
		tab.click(form + " .buttons button:not([data-close])")
	})
	tab.awaitText("#live", "Discarded by an operator")
	tab.visit("/audit-log?action=outbox.discard")
	tab.awaitText("#live", "written by mistake")
}

// A replay that was a mistake is ended, and says how far it came.
func TestOutbox_AReplayIsCancelled(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	topic := "cancelled-" + uuid.NewString()
	require.NoError(t, broker.CreateTopics(t.Context(), w.broker(), 1, topic))
	id := w.stuckRows(t, topic, topic, 200)
	require.Eventually(t, func() bool {
		return query[string](t, w, "orders", "select status from outbox_status where id = $1", id+199) == "published"
	}, patience, 50*time.Millisecond)
	tab := open(t, adminToken)
	tab.visit("/outbox/orders/replay?key=" + topic)
	tab.fill("form.form input[name=rate]", "1")
	tab.click("form.form button.primary")
	tab.awaitText("#plan", "It would send 200 rows")
	tab.fill("#plan input[name=reason]", "a mistake")
	tab.fill("#plan input[name=count]", "200")
	tab.click("#plan button.primary")
	tab.awaitText("#plan output", "sends 200 rows")
	replay := query[int64](t, w, "orders", "select max(id) from outbox_replay where key = $1", topic)
	tab.visit("/outbox/orders?show=replays")
	tab.does(fmt.Sprintf(`details[id="action:/outbox/orders/replays/%d/cancel"]`, replay), "it was one", "is cancelled")
	tab.awaitText(fmt.Sprintf("#replay-%d", replay), "cancelled")
}

// What is copied as curl is a command that answers with the row.
func TestOutbox_TheCurlSnippetRuns(t *testing.T) {
	t.Parallel()
	w := theWorld(t)
	order := w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)
	tab := open(t, adminToken)
	tab.visit("/sagas/order/" + order)
	tab.awaitText("#trail", "Messages")
	row := tab.curl("#trail")
	require.Contains(t, row, `"topic":"orders.v1"`)
	require.Contains(t, row, `"key":"`+order+`"`)
	id := w.stuckRows(t, "copied-"+uuid.NewString(), "k", 1)
	tab.visit(fmt.Sprintf("/outbox/orders/rows/%d", id))
	tab.awaitText("#live", "Copy as curl")
	require.Contains(t, tab.curl("#live"), fmt.Sprintf(`"id":%d,`, id))
}

// curl runs what the first button in an element copies as curl, in a shell as .waybill/env makes
// it.
func (b *tab) curl(within string) string {
	b.t.Helper()
	b.await(fmt.Sprintf(`document.querySelector(%q)?.querySelector('[data-copy^="curl "]')`, within))
	command := eval[string](b, fmt.Sprintf(`document.querySelector(%q).querySelector('[data-copy^="curl "]').dataset.copy`, within))
	shell := exec.CommandContext(b.t.Context(), "/bin/sh", "-euc", command)
	shell.Env = append(os.Environ(), "RELAY_URL="+b.world.url(stack.Relay), "RELAY_TOKEN="+adminToken)
	output, err := shell.CombinedOutput()
	require.NoError(b.t, err, "%s\n%s", command, output)
	return string(output)
}
