package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// shell runs a line as an engineer does who has read the stack's file of settings.
func (s *system) shell(t *testing.T, line string, args ...string) (string, int) {
	t.Helper()
	bin, err := build()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", `. "$0/env" && PATH="$1:$PATH" && shift && ` + line, s.dir, bin}, args...)...)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func (s *system) inventorySQL(t *testing.T, sql string) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), state.Databases[stack.Inventory])
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// Messages that Inventory could not apply, from the first look to the last order: every verb of
// `waybill dlq` on a stack as `make up` starts it.
func TestOnCall_RepairsDeadLetters(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t))
	ok := func(line string, args ...string) string {
		t.Helper()
		out, status := s.shell(t, line, args...)
		require.Zero(t, status, "%s: %s", line, out)
		return out
	}
	require.Contains(t, ok("waybill dlq list"), "no dead letters")
	s.inventorySQL(t, "alter table reservations add constraint e2e check (order_id < 0) not valid")
	var orders []string
	for range 4 {
		orders = append(orders, fmt.Sprint(s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`)))
	}
	ids := map[string]string{} // of dead letters, by order
	await(t, "four dead letters", func() bool {
		var all []struct {
			ID    int64
			Key   string
			State string
		}
		require.NoError(t, json.Unmarshal([]byte(ok("waybill dlq list --service inventory --state dead --json")), &all))
		for _, l := range all {
			ids[l.Key] = fmt.Sprint(l.ID)
		}
		return len(ids) == 4
	})
	id := func(n int) string { return ids[orders[n]] }

	require.Regexp(t, `inventory +4 .*ReserveInventory .*SQLSTATE 23514 reservations e2e`, ok("waybill dlq groups"))
	ok(`waybill dlq note --service inventory "$1" --owner ann --note "ticket 981"`, id(0))
	require.Regexp(t, `e2e +ann +ticket 981`, ok("waybill dlq groups"))
	out := ok(`waybill dlq show --service inventory "$1"`, id(0))
	for _, want := range []string{"dead, revision 1", "key " + orders[0], "ann", `"quantity":2`, `violates check constraint "e2e"`} {
		require.Contains(t, out, want)
	}
	require.Contains(t, ok(`waybill find "$1"`, orders[0]), "dead letter inventory/"+id(0))
	out, status := s.shell(t, `waybill dlq redrive --service inventory "$1" --reason early`, id(0))
	require.Equal(t, 1, status, out)
	require.Contains(t, out, "it failed again, for the 2. time")

	s.inventorySQL(t, "alter table reservations drop constraint e2e")
	require.Contains(t, ok(`waybill dlq redrive --service inventory "$1" --reason repaired`, id(0)), "is redriven applied")

	payload := filepath.Join(t.TempDir(), "payload.json")
	var shown struct{ Payload json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(ok(`waybill dlq show --service inventory "$1" --json`, id(1))), &shown))
	require.NoError(t, os.WriteFile(payload, []byte(strings.ReplaceAll(strings.ReplaceAll(string(shown.Payload), `"quantity": 2`, `"quantity": 1`), `"quantity":2`, `"quantity":1`)), 0o600))
	out = ok(`waybill dlq edit --service inventory "$1" --payload "$2" --reason typo`, id(1), payload)
	require.Regexp(t, `(?m)^- +"quantity": 2`, out)
	require.Contains(t, out, "nothing was changed; add --yes to do it")
	require.Contains(t, ok(`waybill dlq edit --service inventory "$1" --payload "$2" --reason typo --yes --redrive`, id(1), payload), "is redriven applied")

	require.Contains(t, ok(`waybill dlq discard --service inventory "$1" --reason "a test"`, id(2)), "is discarded")
	require.Contains(t, ok("waybill dlq redrive --service inventory --all --type ReserveInventory --dry-run --reason r"), "1 dead letters, and ")
	require.Contains(t, ok("waybill dlq redrive --service inventory --all --type ReserveInventory --reason r"), "job 1 of inventory does it")
	await(t, "nothing to be left", func() bool { return strings.Contains(ok("waybill dlq list"), "no dead letters") })
	require.Regexp(t, "(?m)^"+id(3)+" +done", ok("waybill jobs results inventory/1"))
	states := map[string]string{}
	for line := range strings.Lines(ok("waybill dlq export --service inventory --state any")) {
		var l struct {
			ID    int64
			State string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		states[fmt.Sprint(l.ID)] = l.State
	}
	for n, want := range []string{"redriven", "superseded", "discarded", "redriven"} {
		require.Equal(t, want, states[id(n)])
	}
	for _, n := range []int{0, 1, 3} {
		await(t, "the order to be confirmed", func() bool { return strings.Contains(ok(`waybill find "$1"`, "order/"+orders[n]), "CONFIRMED") })
	}
	require.Contains(t, ok("waybill audit-log list --action deadletter.note"), "dead-letter/"+id(0))
}
