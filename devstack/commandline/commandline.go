// Package commandline holds tests' ends of a promise: every command that a page or a program
// proposes is one that the real programs take.
//
// Lines are run by a real shell, against the real programs, with databases and services that do not
// answer. A line is good if it gets as far as finding that out: a verb that does not exist, a flag
// with another name, an argument too many and a database that should have been named all fail
// before.
package commandline

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// programs are built, and found by their names.
var programs = []string{"./outbox-relay", "./orchestrator", "./waybill", "./inventory", "./migrations/cmd/migrate", "./devstack", "./drills"}

// Tools of others are not looked into.
var tools = []string{"psql", "kcat", "curl", "rpk", "docker", "eval"}

// nobody listens there.
const nobody = "127.0.0.1:1"

// Checker has the programs.
type Checker struct{ bin, workspace string }

// New builds the programs.
func New(t *testing.T) *Checker {
	t.Helper()
	workspace, err := stack.Workspace(".")
	require.NoError(t, err)
	c := &Checker{t.TempDir(), workspace}
	build := exec.Command("go", append([]string{"build", "-o", c.bin + "/"}, programs...)...)
	build.Dir = workspace
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, tool := range tools {
		c.script(t, tool, "exit 0")
	}
	makePath, err := exec.LookPath("make")
	require.NoError(t, err)
	c.script(t, "make", `exec `+makePath+` --no-print-directory -C "$WORKSPACE" -n "$@" >/dev/null`)
	c.script(t, "go", `[ "$1" = run ] && prog="$(basename "$2")" && shift 2 && exec "$prog" "$@"`)
	return c
}

func (c *Checker) script(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(c.bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
}

func (c *Checker) env() []string {
	database := func(name string) string { return "postgres://nobody@" + nobody + "/" + name + "?connect_timeout=2" }
	return []string{
		"PATH=" + c.bin + ":/usr/bin:/bin", "HOME=" + os.Getenv("HOME"), stack.EnvParseOnly + "=1", "WORKSPACE=" + c.workspace,
		"RELAY_DATABASES=orders=" + database("orders") + ",inventory=" + database("inventory") + ",orchestrator=" + database("orchestrator") +
			",orders-1=" + database("orders") + ",inventory-1=" + database("inventory") + ",orchestrator-1=" + database("orchestrator"), // of a shard
		"ORDERS_DB=" + database("orders"), "INVENTORY_DB=" + database("inventory"), "ORCHESTRATOR_DB=" + database("orchestrator"),
		"ORDERS1_DB=" + database("orders"), "INVENTORY1_DB=" + database("inventory"), "ORCHESTRATOR1_DB=" + database("orchestrator"),
		"ORDERS1_URL=http://" + nobody, "INVENTORY1_URL=http://" + nobody, "ORCHESTRATOR1_URL=http://" + nobody,
		"DATABASE_URL=" + database("orders"), "ORDERS_URL=http://" + nobody, "INVENTORY_URL=http://" + nobody, "RELAY_URL=http://" + nobody,
		"ORCHESTRATOR_URL=http://" + nobody, "ORCHESTRATOR_TOKEN=a-token", "database=orders",
	}
}

// unanswered is what the programs say when they got as far as they can get.
var unanswered = regexp.MustCompile(`(?i)connect|refused|no [a-z ]+ answers|does not answer`)

// Check runs one line, and returns what is wrong with it.
func (c *Checker) Check(line string) error {
	shell := exec.Command("/bin/sh", "-ec", line)
	shell.Dir, shell.Env = c.bin, c.env() // not in the source tree: a line may write a file
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	err := shell.Run()
	said := out.String()
	switch {
	case err == nil, unanswered.MatchString(said) && !strings.Contains(said, "Usage:"):
		return nil
	default:
		return fmt.Errorf("%q: %w\n%s", line, err, said)
	}
}

// Require fails for each line that the programs do not take.
func (c *Checker) Require(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := c.Check(line); err != nil {
			t.Error(err)
		}
	}
}
