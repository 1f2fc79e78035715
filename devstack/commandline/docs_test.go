package commandline

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// The engineer on call pastes what the page says.
func TestDocs_EveryCommandIsOneThatTheProgramsTake(t *testing.T) {
	t.Parallel()
	c := New(t)
	lines, err := Docs(c.workspace)
	require.NoError(t, err)
	require.Greater(t, len(lines), 50, "the pages have commands")
	for _, line := range lines {
		if err := c.Check(line.Text); err != nil {
			t.Errorf("%s: %v", line.Where, err)
		}
	}
}

// A check that takes everything proves nothing.
func TestChecker_WhatTheProgramsDoNotTakeIsFound(t *testing.T) {
	t.Parallel()
	c := New(t)
	for _, line := range []string{
		"outbox-relay resume orchestrator", "outbox-relay replay --kee 17", "orchestrator saga fixx 1", "make no-such-target",
		"go run ./drills run --fore 5m", "go run ./devstack kil broker", "migrate sideways --database x orders", "outbox-rely status",
	} {
		require.Error(t, c.Check(line), line)
	}
	for _, line := range []string{"outbox-relay status", "orchestrator saga explain 1", "make audit", "go run ./drills list"} {
		require.NoError(t, c.Check(line), line)
	}
}

// What runs on a push can be run by hand: the workflow has no commands of its own.
func TestWorkflow_RunsNothingButTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	c := New(t)
	workflow, err := os.ReadFile(filepath.Join(c.workspace, ".github", "workflows", "ci.yml"))
	require.NoError(t, err)
	runs := regexp.MustCompile(`(?m)^\s*-? run: (.*)$`).FindAllStringSubmatch(string(workflow), -1)
	require.NotEmpty(t, runs)
	matrix := regexp.MustCompile(`\$\{\{ matrix\.\w+ \}\}`)
	for _, run := range runs {
		command := matrix.ReplaceAllString(run[1], "14")
		require.True(t, strings.HasPrefix(command, "make "), command)
		require.NoError(t, c.Check(command), command)
	}
}

// A checkout may lie in a folder with a space in its name.
func TestMakefile_QuotesTheFolderOfTheCheckout(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	makefile, err := os.ReadFile(filepath.Join(workspace, "Makefile"))
	require.NoError(t, err)
	require.Contains(t, string(makefile), `"$(CURDIR)/`)
	require.NotRegexp(t, `[^"]\$\(CURDIR\)`, string(makefile))
}

func TestIn_FindsCommandsInTextAndCode(t *testing.T) {
	t.Parallel()
	page := "Run `outbox-relay stuck list`, or `outbox-relay`.\n\n" +
		"```\n$ FOO=1 bin/orchestrator saga show ID    what there is\nls\n```\n\n" +
		"    outbox-relay stuck retry 812 | --all   # now\n    outbox-relay pending [--database orders]; outbox-relay audit-log\n" +
		"`migrate up|status --database URL SET…`\n"
	var found []string
	for _, line := range in("p", page) {
		found = append(found, line.Text)
	}
	require.Equal(t, []string{
		"outbox-relay stuck list", "orchestrator saga show 1",
		"outbox-relay stuck retry 812", "outbox-relay stuck retry --all",
		"outbox-relay pending --database orders", "outbox-relay audit-log",
		"migrate up --database postgres://nobody@127.0.0.1:1/orders outbox orders",
		"migrate status --database postgres://nobody@127.0.0.1:1/orders outbox orders",
	}, found)
}

var (
	metric  = regexp.MustCompile(`waybill_[a-z0-9_]*[a-z0-9](\{([a-z_]+)="([^"]+)"\})?`)
	literal = regexp.MustCompile(`"([A-Za-z0-9_-]+)"`)
)

// An alert on a metric that does not exist never fires.
func TestDocs_EveryMetricIsOneThatIsRegistered(t *testing.T) {
	t.Parallel()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	known := literals(t, workspace)
	pages, err := filepath.Glob(filepath.Join(workspace, "docs", "*.md"))
	require.NoError(t, err)
	found := 0
	for _, page := range append(pages, filepath.Join(workspace, "README.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range metric.FindAllStringSubmatch(string(text), -1) {
			found++
			name, _, _ := strings.Cut(m[0], "{")
			if name == "waybill_relay" {
				continue // the prefix of the relay's
			}
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			registered := known[name] || known[base] || known[strings.TrimPrefix(name, "waybill_relay_")] && strings.HasPrefix(name, "waybill_relay_")
			require.True(t, registered, "%s: no metric %s", filepath.Base(page), name)
			require.True(t, m[2] == "" || known[m[2]] && known[m[3]], "%s: %s is never written", filepath.Base(page), m[0])
		}
	}
	require.Greater(t, found, 10)
}

// literals returns every string of the programs that could be a name.
func literals(t *testing.T, workspace string) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	require.NoError(t, filepath.WalkDir(workspace, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			known[m[1]] = true
		}
		return err
	}))
	return known
}
