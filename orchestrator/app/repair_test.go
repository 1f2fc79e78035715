package app_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// Every verb of the command, against a system that runs.
func TestRepair_TheCommandDoesWhatItSays(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	does := func(args ...string) string {
		t.Helper()
		out, err := s.runCLI(append([]string{"--token", token}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	s.send(created(7))
	s.command(7, contracts.TypeReserveInventory, 1)

	out := does("resolve", "7", "--step", "reserve", "--as", "done", "--preview")
	require.Contains(t, out, "RUNNING → RUNNING")
	require.Contains(t, out, `Sends:   ConfirmOrder → orders.commands.v1, key 7: {`)
	require.Contains(t, out, "OrderConfirmed (confirm): CONFIRMED")
	require.Contains(t, out, "--revision 1")
	require.Contains(t, does("skip-wait", "7", "--reason", "now", "--wait", "0", "--revision", "1"), "ReserveInventory")
	_, err := s.runCLI("--token", token, "retry", "7", "--reason", "now", "--revision", "1")
	require.ErrorContains(t, err, "the saga has changed since")

	require.Contains(t, does("edit-data", "7", "--patch", `{"quantity":3}`, "--reason", "a typo"), "/quantity: 2 → 3: a typo")
	require.Contains(t, does("edit-data", "7", "--patch", `{"quantity":3}`, "--reason", "again"), "Nothing to do")
	_, err = s.runCLI("--token", token, "edit-data", "7", "--patch", `{"colour":"red"}`, "--reason", "x")
	require.ErrorContains(t, err, "colour")

	require.Contains(t, does("suspend", "7", "--reason", "wait for it"), "wait for it")
	require.Contains(t, does("list", "--stuck"), "suspended by ann")
	_, err = s.runCLI("--token", token, "retry", "7", "--reason", "now")
	require.ErrorContains(t, err, "resume it first")
	does("resume", "7", "--reason", "here it is")
	require.Contains(t, does("deadlines", "--within", "10m"), "order/7")
	require.Contains(t, does("deadline", "move", "7", "reserve", "--to", "20m", "--reason", "slow"), "deadline moved")
	require.Contains(t, does("deadline", "revoke", "7", "reserve", "--reason", "slower"), "deadline revoked")
	require.NotContains(t, does("deadlines", "--within", "24h"), "order/7")

	_, err = s.runCLI("--token", token, "restart-from", "7", "--step", "confirm", "--preview")
	require.ErrorContains(t, err, "it would be refused")
	_, err = s.runCLI("--token", token, "resolve", "7", "--step", "reverse", "--as", "done", "--reason", "x")
	require.ErrorContains(t, err, "no such step")
	does("resolve", "7", "--step", "reserve", "--as", "failed", "--reason", "none left, says the warehouse", "--wait", "0")
	s.command(7, contracts.TypeCancelOrder, 1)

	require.Contains(t, does("suspend", "--all", "order@1", "--reason", "the warehouse burns"), "Done")
	require.Contains(t, does("suspend", "--all", "order@1", "--reason", "the warehouse burns"), "Nothing to do")
	s.send(created(8))
	s.eventually(func() bool {
		out, err := s.runCLI("show", "8")
		return err == nil && strings.Contains(out, "SUSPENDED")
	}, "it begins suspended")
	does("resume", "--all", "order@1", "--reason", "it does not")
	s.command(8, contracts.TypeReserveInventory, 1)
	_, err = s.runCLI("--token", token, "suspend", "--all", "order@9", "--reason", "x")
	require.ErrorContains(t, err, "never run")

	rows, _ := s.db.Pool.Query(t.Context(), "select action || ' ' || object || ' ' || actor || ' ' || reason from audit_log order by seq")
	audited, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{
		"saga.skip-wait saga/order/7 ann now", "saga.edit-data saga/order/7 ann a typo", "saga.suspend saga/order/7 ann wait for it",
		"saga.resume saga/order/7 ann here it is", "saga.move-deadline saga/order/7 ann slow", "saga.revoke-deadline saga/order/7 ann slower",
		"saga.resolve saga/order/7 ann none left, says the warehouse",
		"saga.suspend saga/order@1 ann the warehouse burns", "saga.resume saga/order@1 ann it does not",
	}, audited)
}
