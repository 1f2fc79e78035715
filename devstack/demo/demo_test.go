package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
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
