package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// learner is a reader who types the commands of docs/tutorial.md, in their order, and fills in what
// the page leaves open.
type learner struct {
	*system

	placed string // the id of the last order
	said   map[string]string
}

// The tutorial is run as it stands, on a stack of its own; only addresses and what takes minutes
// differ. Every command succeeds that is meant to, and shows what the text says.
func TestTutorial_EveryStepRuns(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"psql", "kcat", "timeout"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on the PATH: make setup", tool)
		}
	}
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(workspace, "docs", "tutorial.md"))
	require.NoError(t, err)
	l := &learner{system: start(t, newDir(t)), said: map[string]string{}}
	for _, m := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(string(page), -1) {
		l.run(t, m[1])
	}
	for line, text := range map[string]string{
		"orchestrator saga show 1":                   "ConfirmOrder",
		"outbox-relay pending --database orders":     "OrderCreated",
		"waybill saga list --state CANCELLED":        "unicorn",
		"waybill explain ID":                         "ReserveInventory",
		"waybill dlq show --service orders ID":       "decode message",
		"curl, while the database is down":           "503",
		"curl, with the same key after it came back": "202",
	} {
		require.Contains(t, l.said[line], text, line)
	}
	var last int64
	_, err = fmt.Sscan(l.placed, &last)
	require.NoError(t, err)
	for id := int64(1); id <= last; id++ {
		status, _, _ := call(t, "GET", l.url(t, stack.Orders, fmt.Sprintf("/v1/orders/%d", id)), "")
		if status == 200 { // an id may be drawn and not used
			l.outcome(t, id)
		}
	}
}

var (
	newOrder  = regexp.MustCompile(`\{"id":(\d+)\}`)
	act       = regexp.MustCompile(`^make stack-(\w+) NAME=(\S+)$`)
	elsewhere = []string{"make up", ". .waybill/env", "make audit", "make drill"} // they have tests of their own
)

// run types one line.
func (l *learner) run(t *testing.T, line string) {
	t.Helper()
	if slices.Contains(elsewhere, line) {
		return
	}
	if m := act.FindStringSubmatch(line); m != nil {
		l.act(t, stack.Action(m[1]), m[2])
		return
	}
	typed := strings.NewReplacer(
		"localhost:8080", l.process(t, stack.Orders).Addr, "localhost:19092", l.process(t, stack.Broker).Addr,
		" ID", " "+l.id(t, line), "timeout 10", "timeout 3",
	).Replace(line)
	out, status := l.shell(t, typed)
	require.Equal(t, strings.Contains(line, "timeout"), status != 0, "%s: status %d\n%s", typed, status, out)
	if m := newOrder.FindStringSubmatch(out); m != nil {
		l.placed = m[1]
	}
	switch {
	case !strings.Contains(line, "Idempotency-Key"):
		l.said[line] = out
	case l.said["curl, while the database is down"] == "":
		l.said["curl, while the database is down"] = out
	default:
		l.said["curl, with the same key after it came back"] = out
	}
	if strings.HasPrefix(line, "curl") && strings.HasSuffix(line, "/v1/orders/1") {
		l.outcome(t, 1) // a reader is slower than an order
	}
	if strings.Contains(line, `"unicorn"`) {
		var id int64
		_, err := fmt.Sscan(l.placed, &id)
		require.NoError(t, err)
		require.Equal(t, "CANCELLED", l.outcome(t, id).Status)
	}
}

// id is what a reader puts in the place of ID: the order that was placed last, or the dead letter.
func (l *learner) id(t *testing.T, line string) (id string) {
	t.Helper()
	if !strings.Contains(line, "dlq") {
		return l.placed
	}
	await(t, "the dead letter is listed", func() bool {
		out, _ := l.shell(t, "waybill dlq list --json")
		if m := regexp.MustCompile(`"id":\s*"?(\d+)`).FindStringSubmatch(out); m != nil {
			id = m[1]
		}
		return id != ""
	})
	return id
}
