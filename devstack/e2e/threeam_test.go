package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/commandline"
	"waybill.example/devstack/stack"
)

// threeAM are the commands of the README's section for the engineer on call, as they are printed.
func threeAM(t *testing.T, workspace string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(workspace, "README.md"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "At 3 a.m. there is one command")
	require.True(t, ok)
	blocks := strings.SplitN(section, "```", 3)
	require.Len(t, blocks, 3)
	return strings.Split(strings.TrimSpace(blocks[1]), "\n")
}

// What each of them says when an order 4711 waits for an inventory that is frozen until the retry.
var threeAMSays = map[string]string{
	"waybill find":                   `(?s)saga order/4711\n.*order 4711\n  PENDING`,
	"waybill explain":                `(?s)Saga 4711: RUNNING\nWaits for InventoryReserved.*no answer from http://\S+ within [0-9.]+s: it is frozen.*Where the time went`,
	"waybill saga retry 4711 --prev": `(?s)Sends:   ReserveInventory.*Nothing was changed`,
	"waybill saga retry 4711 --reas": `(?s)ReserveInventory.*Recorded as number 2 in the timeline of saga 4711, by dev: inventory is back`,
	"waybill saga batch retry":       `retry would be done to 0 sagas\.`,
	"waybill jobs":                   `No jobs\.`,
	"waybill latency":                `(?s)2 of 2 sagas .*ConfirmOrder: orchestrator → orders`,
	"waybill dlq list":               `no dead letters`,
	"waybill relay stuck list":       `none`,
	"waybill relay replay":           `(?s)orders: would send 2 rows.*nothing is sent yet`,
}

// The README's section for three in the morning is true to the letter, and every command of the
// runbook runs: it does what it says, or is refused with a sentence, and never for how it is
// written.
func TestOnCall_WhatTheReadmeAndTheRunbookSayRuns(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	s := start(t, newDir(t))
	first := s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`)
	require.Equal(t, "CONFIRMED", s.outcome(t, first).Status)
	s.ordersSQL(t, `select setval('orders_id_seq', 4710)`)
	s.act(t, stack.Freeze, stack.Inventory)
	require.Equal(t, int64(4711), s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`))
	await(t, "the saga to wait for inventory", func() bool {
		out, _ := s.shell(t, "waybill explain 4711")
		return strings.Contains(out, "published, not handled by inventory yet")
	})
	lines := threeAM(t, workspace)
	require.Len(t, lines, len(threeAMSays))
	for _, line := range lines {
		out, status := s.shell(t, line)
		require.Zero(t, status, "%s\n%s", line, out)
		found := false
		for command, says := range threeAMSays {
			if strings.HasPrefix(line, command) {
				found = true
				require.Regexp(t, says, out, line)
			}
		}
		require.True(t, found, "what does %q say?", line)
		if strings.Contains(line, "--reason") && strings.Contains(line, "retry 4711") {
			s.act(t, stack.Thaw, stack.Inventory)
			require.Equal(t, "CONFIRMED", s.outcome(t, 4711).Status)
			await(t, "the saga to end", func() bool {
				out, _ := s.shell(t, "waybill find order/4711")
				return strings.Contains(out, "CONFIRMED")
			})
		}
	}
	t.Run("runbook", func(t *testing.T) { s.runbook(t, workspace) })
}

// runbook runs the commands of the runbook's pages one after the other.
func (s *system) runbook(t *testing.T, workspace string) {
	lines, err := commandline.Docs(workspace)
	require.NoError(t, err)
	ran, done, dir := 0, 0, t.TempDir() // some write files
	for _, line := range lines {
		tool, _, _ := strings.Cut(line.Text, " ")
		if !strings.HasPrefix(line.Where, "docs/runbook.md:") || tool == "make" || tool == "go" || strings.Contains(line.Text, "notifications") {
			continue // about processes, or with a webhook
		}
		out, status := s.shell(t, "cd '"+dir+"' && "+strings.ReplaceAll(line.Text, "$database", "orders"))
		ran++
		if status == 0 {
			done++
			continue
		}
		// What there is nothing of on this stack is refused, in one line.
		require.Equal(t, 1, status, "%s: %s\n%s", line.Where, line.Text, out)
		require.Regexp(t, `(?m)^`+tool+`: .+$`, out, "%s: %s", line.Where, line.Text)
		require.NotContains(t, out, "panic", line.Text)
	}
	t.Logf("%d of the runbook's %d commands did something here", done, ran)
	require.Greater(t, ran, 50)
	require.Greater(t, done, ran/3)
}

func (s *system) ordersSQL(t *testing.T, sql string) {
	t.Helper()
	state, err := stack.Read(s.dir)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), state.Databases[stack.Orders])
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}
