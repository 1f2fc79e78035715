package telemetry_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/telemetry"
	"waybill.example/sdk/inbox"
)

// An alert on an outcome that never happened yet needs the series to be there.
func TestInbox_CountsEveryOutcomeFromZero(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	observe := telemetry.Inbox(reg, "orders")
	observe(inbox.Outcome{Applied: 3, Duplicates: 2, DeadLettered: 1})
	observe(inbox.Outcome{Applied: 1, Conflicts: 4, Skipped: 5})
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP waybill_inbox_messages_total Messages received, by what became of them: applied, duplicate, skipped, dead_letter, conflict, parked, redriven, dropped.
# TYPE waybill_inbox_messages_total counter
waybill_inbox_messages_total{consumer="orders",outcome="applied"} 4
waybill_inbox_messages_total{consumer="orders",outcome="conflict"} 4
waybill_inbox_messages_total{consumer="orders",outcome="dead_letter"} 1
waybill_inbox_messages_total{consumer="orders",outcome="dropped"} 0
waybill_inbox_messages_total{consumer="orders",outcome="duplicate"} 2
waybill_inbox_messages_total{consumer="orders",outcome="parked"} 0
waybill_inbox_messages_total{consumer="orders",outcome="redriven"} 0
waybill_inbox_messages_total{consumer="orders",outcome="skipped"} 5
`)))
}
