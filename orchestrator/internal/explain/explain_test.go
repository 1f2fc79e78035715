package explain_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/orchestrator/internal/explain"
)

func TestUnquoted_LeavesOutWhyAMessageWasSetAside(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"dead", "discarded"} {
		s, command := waiting(t)
		s.Databases = append(s.Databases, inventory(explain.Database{Sent: []explain.Message{{
			ID: 9, EventID: command, Type: "ReserveInventory", Topic: "inventory.commands.v1.dlq", Status: "published", Reason: "a secret",
			Letter: &explain.Letter{ID: 3, State: state, Settled: state != "dead"},
		}}}))
		e := explain.Diagnose(s)
		require.Contains(t, e.Obstacles[0], "a secret")
		require.Equal(t, "ReserveInventory is outbox row 812 of orchestrator, and inventory could not use •••", explain.Unquoted(e.Obstacles[0], "•••"))
	}
	require.Equal(t, "it is behind", explain.Unquoted("it is behind", "•••"))
}
