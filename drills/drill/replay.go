package drill

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"waybill.example/devstack/stack"
)

// replayEverything sends every row of every outbox again, with the relay's own command: these are
// the steps of the runbook.
func (s *Environment) replayEverything(ctx context.Context) error {
	databases := s.stack.State().Databases
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		out, err := s.relayCommand(ctx, "replay", "--database", name, "--from-id", "1", "--yes",
			"--actor", "drill", "--reason", "the broker came back empty")
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		s.Measured("%s: %s", name, lines[len(lines)-1])
	}
	return nil
}

// relayCommand runs a verb of the relay's command line.
func (s *Environment) relayCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.workspace, "bin", stack.Relay), args...)
	cmd.Env = append(os.Environ(), "RELAY_DATABASES="+s.relayDatabases())
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("outbox-relay %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(failure.String()))
	}
	return string(out), nil
}

// relayDatabases is the relay's setting of that name.
func (s *Environment) relayDatabases() string {
	var sources []string
	for name, url := range s.stack.State().Databases {
		sources = append(sources, name+"="+url)
	}
	return strings.Join(sources, ",")
}
