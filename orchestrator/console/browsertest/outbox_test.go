package browsertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/broker"
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
