package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// A list says of each saga what explain would say first, and is filtered by what sagas wait for.
func TestList_SaysWhereEachSagaStands(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	s.waiting(3)
	s.send(reserved(2, s.command(2, contracts.TypeReserveInventory, 1)))
	s.command(2, contracts.TypeConfirmOrder, 1)
	s.intervene("/v1/sagas/3/suspend?wait=0", `{"reason":"to be looked at"}`)
	_, err := s.db.Pool.Exec(t.Context(), "update sagas set attempt = 3 where id = '1'") // as after two deadlines
	require.NoError(t, err)
	list := func(query string) map[string]string {
		var page struct{ Sagas []struct{ ID, Says string } }
		require.Equal(t, http.StatusOK, s.get("/v1/sagas?"+query, &page))
		says := map[string]string{}
		for _, one := range page.Sagas {
			says[one.ID] = one.Says
		}
		return says
	}
	all := list("")
	require.Len(t, all, 3)
	require.Regexp(t, `^Waits for InventoryReserved or InventoryRejected since .*s \(step reserve, attempt 1 of 3, until .*\)\.$`, all["1"])
	require.Regexp(t, `^Waits for OrderConfirmed or OrderCancelled`, all["2"])
	require.Regexp(t, `^Suspended by ann since .*: it does nothing until it is resumed\.$`, all["3"])
	require.Len(t, list("step=confirm"), 1)
	require.Len(t, list("attempt=2"), 1)
	require.Empty(t, list("attempt=4"))
	require.Empty(t, list("attempt=2&step=confirm"))
	out, err := s.runCLI("list", "--step", "confirm", "--attempt", "1")
	require.NoError(t, err)
	require.Contains(t, out, "confirm")

	out, err = s.runCLI("--token", token, "batch", "retry", "--saga", "order/1", "--saga", "order/3", "--saga", "trip/2", "--state", "RUNNING", "--reason", "chosen by hand")
	require.NoError(t, err)
	require.Contains(t, out, "retry would be done to 1 sagas.")
	require.Equal(t, 1, strings.Count(out, "RUNNING"))
}
