package audit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

func found(check Check, subject, repair string) Finding {
	r := newResults(contracts.Shard{})
	r.begin()
	r.find(check, subject, repair, "it is so")
	return r.findings[check][0]
}

func reported(findings ...Finding) Report {
	r := Report{At: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	for _, check := range Checks() {
		result := Result{Check: check}
		for _, f := range findings {
			if f.Check == check {
				result.Findings = append(result.Findings, f)
			}
		}
		r.Checks = append(r.Checks, result)
	}
	return r
}

func written(p Plan) string {
	var out strings.Builder
	p.Write(&out)
	return out.String()
}

func TestPlan_RunsEachCommandOnceWhatOthersDependOnFirst(t *testing.T) {
	t.Parallel()
	plan := reported(
		found(Reserved, "order 17", repairCancel(17)),
		found(Reserved, "order 18", repairCancel(18)),
		found(Reserved, "order 17", repairCancel(17)),
		found(Agreed, "order 19", repairExplain(19)),
		found(Unhealthy, "orders outbox row 1", repairStuck("orders", []int64{1})),
	).Plan()
	require.Equal(t, 3, plan.Commands())
	require.Equal(t, `# What the audit of 2026-11-26T12:00:00Z proposes. Read it, then: . .waybill/env && sh -e FILE

# unhealthy: orders outbox row 1: it is so
outbox-relay stuck retry --database=orders 1

# reserved: order 17: it is so; and 2 more like it
`+repairCancel(17)+`
`+repairCancel(18)+`

# agreed: order 19: it is so
# To decide: orchestrator saga explain 19

# Then audit again; 0 orders and messages were too young to be judged.
`, written(plan))
}

// What is said of an order that is going to be given back may be so because it is not there:
// placing it again, or releasing its items, would be wrong.
func TestPlan_GivesOrdersBackBeforeAnythingElseIsJudged(t *testing.T) {
	t.Parallel()
	plan := reported(
		found(Agreed, "2 orders from 17 to 18", repairMissing),
		found(Accepted, "order 17", repairMissing),
		found(Unhealthy, "saga 17", repairOverdue(17)),
		found(Agreed, "order 3", repairExplain(3)),
	).Plan()
	require.Equal(t, 1, plan.Commands())
	require.Equal(t, 3, plan.Later)
	text := written(plan)
	require.Contains(t, text, "\n"+repairMissing+"\n")
	require.Contains(t, text, "# Before: Orders is stopped")
	require.Contains(t, text, "# Then start Orders and audit again: 3 more findings")
}

// After an asynchronous failover Orders was given an order back, and has set aside what it was
// commanded before. Its saga waits, overdue: redriving the command is all that both need.
func TestPlan_AnOrderWhoseMessageIsRedrivenIsNotRepairedASecondWay(t *testing.T) {
	t.Parallel()
	letter := row{Database: "orders", ID: 7, EventID: uuid.New(), Topic: "orders.commands.v1.dlq", Key: "17", Letter: 3, Reason: "order 17 does not exist"}
	again := letter
	again.ID, again.EventID, again.Key, again.Letter, again.Reason = 8, uuid.New(), "18", 4, "event id x "+usedBefore+" inventory.v1/0 offset 165"
	m := newDeliveries(nil)
	r := newResults(contracts.Shard{})
	r.begin()
	m.record([]row{letter, again}, r)
	r.deadLetters(m, Config{Restored: []Restored{{Database: "orchestrator"}, {Database: "orders"}}})
	r.unhealthySagas([]saga{{OrderID: 17, Phase: "RUNNING", Reason: "a command that must be answered has used up its attempts"}})
	for _, id := range []int64{17, 18} {
		o := order{ID: id, Status: pending, Age: time.Hour, Still: time.Hour, Announced: 1, Saga: &saga{OrderID: id, State: "RUNNING", Still: time.Hour}}
		require.False(t, r.judge(o, Limits{Overdue: time.Minute}))
	}
	plan := Report{Checks: r.list()}.Plan()
	text := written(plan)
	require.Equal(t, 1, strings.Count(text, "dlq redrive 3 "), text)
	require.NotContains(t, text, "saga retry 17", "the second way")
	require.Contains(t, text, "# Left for the next audit: terminal: 1 findings about orders of which a message is sent or applied again above.\n")
	require.Contains(t, text, "saga retry 18", "a discarded message repairs nothing")
	require.Contains(t, text, "dlq discard 4 ")
	require.Equal(t, 3, plan.Commands())
}

// A failover leaves a dead letter of each lost order that has gone on: one command redrives all.
func TestPlan_DeadLettersOfOneServiceAreRedrivenTogether(t *testing.T) {
	t.Parallel()
	m, r := newDeliveries(nil), newResults(contracts.Shard{})
	r.begin()
	var letters []row
	for n := range int64(3) {
		letters = append(letters, row{
			Database: "orders", ID: n + 1, EventID: uuid.New(), Topic: "orders.commands.v1.dlq", Key: number(17 + n), Letter: n + 1, Reason: "does not exist",
		})
	}
	m.record(letters, r)
	r.deadLetters(m, Config{})
	r.unhealthySagas([]saga{{OrderID: 18, Phase: "RUNNING"}})
	report := Report{Checks: r.list()}
	require.Equal(t, []string{"waybill dlq redrive --service=orders --all --reason=repaired"}, report.Plan().Steps[0].Commands)
	require.Equal(t, 4, report.Checks[len(report.Checks)-1].Count())
	require.Len(t, report.Plan().Left, 1)

	// One that a person has to decide about is not to be redriven with the others.
	letters[2].Reason = usedBefore
	m.record(letters, r)
	r.begin()
	r.deadLetters(m, Config{})
	require.Len(t, Report{Checks: r.list()}.Plan().Steps[0].Commands, 2)
}

func TestPlan_SaysThatThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	require.Contains(t, written(reported().Plan()), "# Nothing was found.\n")
}

// A finding quotes rows that others have written.
func TestPlan_WhatStandsInARowIsNotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := found(Unhealthy, "x\ntouch owned", "")
	f.Problem = "y\n$(touch owned)\r`touch owned`"
	script := filepath.Join(dir, "plan.sh")
	require.NoError(t, os.WriteFile(script, []byte(written(reported(f).Plan())), 0o600))
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
	require.NoFileExists(t, filepath.Join(dir, "owned"))
}
