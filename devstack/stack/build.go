package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are the packages of the workspace that make up a stack.
var programs = []string{
	"./devstack", "./migrations/cmd/migrate",
	"./orders", "./inventory", "./orchestrator", "./outbox-relay", "./waybill",
}

// Workspace returns the directory with go.work, at or above dir.
func Workspace(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no go.work in %s or above it: run this in Waybill's source tree", dir)
		}
	}
}

// Build compiles the stack's programs into bin/ of the workspace and returns
// that directory.
func Build(ctx context.Context, workspace string, progress io.Writer) (string, error) {
	fmt.Fprintln(progress, "building the services (the first time takes a minute: librdkafka's bindings are compiled)")
	bin := filepath.Join(workspace, "bin")
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", bin + "/"}, programs...)...)
	cmd.Dir = workspace
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		if !hasCompiler(ctx, workspace) { // what fails then are names that the Kafka client lacks
			return "", errNoCompiler
		}
		return "", fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	if err != nil {
		return "", fmt.Errorf("go build: %w", err)
	}
	return bin, nil
}

var errNoCompiler = errors.New("there is no C compiler, or CGO_ENABLED is 0, and the services' Kafka client is C: install gcc or clang (`make setup` does on Debian and Ubuntu)")

// hasCompiler asks Go whether it would compile C.
func hasCompiler(ctx context.Context, workspace string) bool {
	cmd := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED")
	cmd.Dir = workspace
	out, err := cmd.Output()
	return err != nil || strings.TrimSpace(string(out)) == "1"
}
