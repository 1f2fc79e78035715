// Package revision runs the stack of any revision of this repository: it checks the revision out
// beside the working tree, builds it there, and starts it as its own devstack does. The bench
// compares two revisions with it, and package upgrade goes from one to the other.
package revision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"waybill.example/devstack/process"
	"waybill.example/devstack/stack"
)

// startTimeout bounds the start of a stack, the build of its services included.
const startTimeout = 10 * time.Minute

// Checkout makes dir a work tree of the repository around workspace, at the revision, and returns
// the commit's full name. A work tree that is there already moves to the revision, so that a second
// comparison builds little.
func Checkout(ctx context.Context, workspace, rev, dir string) (commit string, err error) {
	commit, err = git(ctx, workspace, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%q is no revision of this repository", rev)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		_, err = git(ctx, workspace, "worktree", "add", "--quiet", "--force", "--detach", dir, commit)
		return commit, err
	}
	_, err = git(ctx, dir, "checkout", "--quiet", "--force", "--detach", commit)
	return commit, err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// Stack is a running stack of some revision. Close it.
type Stack struct {
	State stack.State

	process *process.Process
}

// Start builds the devstack of a source tree and brings its stack up in dir, on free ports and
// without the data of an earlier run. What it prints goes to log; env are further settings, as
// NAME=value.
func Start(ctx context.Context, tree, dir string, log io.Writer, env ...string) (*Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	program := filepath.Join(tree, "bin", "devstack")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./devstack")
	build.Dir, build.Stdout, build.Stderr = tree, log, log
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the devstack of %s: %w", tree, err)
	}
	// What an earlier run left would look like a stack that is up.
	if err := os.Remove(filepath.Join(dir, "stack.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the state of an earlier stack: %w", err)
	}
	p, err := process.Start(process.Command{
		Name: "devstack", Path: program, Dir: tree, Output: log,
		Args: []string{"up", "--dir", dir, "--ephemeral-ports", "--fresh", "--quiet"},
		Env:  append(os.Environ(), env...),
	})
	if err != nil {
		return nil, err
	}
	s := &Stack{process: p}
	if err := s.awaitReady(ctx, dir); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// services are what has to be ready before there can be a load.
var services = []string{stack.Orders, stack.Inventory, stack.Orchestrator, stack.Relay}

// awaitReady waits until the stack has written where everything is, and every service is ready.
func (s *Stack) awaitReady(ctx context.Context, dir string) error {
	const look = 200 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		state, err := stack.Read(dir)
		if err == nil && complete(state) {
			s.State = state
			break
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("the stack did not start:\n%s", strings.Join(s.process.Tail(), "\n"))
		case <-ctx.Done():
			return fmt.Errorf("wait for the stack: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	for _, name := range services {
		p, _ := s.State.Process(name)
		for stack.AskReady(ctx, p.Addr) != nil {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for %s: %w", name, ctx.Err())
			case <-ticker.C:
			}
		}
	}
	return nil
}

// complete reports whether every service runs.
func complete(state stack.State) bool {
	for _, name := range services {
		if p, ok := state.Process(name); !ok || p.Pid == 0 {
			return false
		}
	}
	return true
}

// Close stops the stack and waits for it.
func (s *Stack) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.process.Stop(ctx)
}
