package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
)

func TestTimelineReadsAsATable(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out strings.Builder
	printTimeline(&out, saga{
		Definition: "order", Version: 1, State: "CANCELLED", StartedAt: began,
		Timeline: []line{
			{At: began, To: "RUNNING", CauseType: "OrderCreated", Commands: []command{{Type: "ReserveInventory", Attempt: 1}}},
			{At: began.Add(5 * time.Second), To: "RUNNING", CauseType: "deadline", Commands: []command{{Type: "ReserveInventory", Attempt: 2}}},
			{At: began.Add(5*time.Second + 3*time.Millisecond), To: "CANCELLED", CauseType: "InventoryRejected", Note: `unknown sku "x"`, Commands: []command{{Type: "CancelOrder", Attempt: 1}}},
		},
	})
	require.Empty(t, cmp.Diff(`  saga order v1: CANCELLED
    AFTER       RECEIVED                              STATE       SENT
    0.0 ms      OrderCreated                          RUNNING     ReserveInventory
    5000.0 ms   deadline                              RUNNING     ReserveInventory (attempt 2)
    5003.0 ms   InventoryRejected (unknown sku "x")   CANCELLED   CancelOrder
`, out.String()))
}

// A reason comes from a message: it must not forge a line, nor reach the terminal.
func TestTimelineShowsAHostileReasonAsText(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printTimeline(&out, saga{Definition: "order\x1b[2K", State: "CANCELLED", Timeline: []line{
		{To: "CANCELLED", CauseType: "InventoryRejected", Note: "sold out\n\t0.0 ms\x1b[1A\u202eforce by carol", Commands: []command{{Type: "Cancel\rOrder"}}},
	}})
	require.Equal(t, 3, strings.Count(out.String(), "\n"), "a title, a head and one transition")
	for line := range strings.SplitSeq(out.String(), "\n") {
		require.True(t, terminal.Plain(line), "%q", line)
	}
}
