package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// One static file runs wherever there is a way to the services: nothing that it is made of needs a
// C library.
func TestWaybill_BuildsWithoutCgo(t *testing.T) {
	t.Parallel()
	program := build(t)
	for line, status := range map[string]int{
		"--help": 0, "--version": 0, "explain 1 --url http://127.0.0.1:1": 1, "explain": 2, "saga fixx 1": 2, "saga retry 1 --reason x --revision 0": 2, "jobs pause 1 --reason x --revision 0": 2,
		"saga deadline move 1 reserve --to yesterday --reason x": 2, "saga suspend --all order --reason x": 2,
	} {
		out, err := exec.Command("/bin/sh", "-c", program+" "+line).CombinedOutput()
		got := 0
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // of this command itself
			got = exit.ExitCode()
		}
		require.Equal(t, status, got, "waybill %s: %s", line, out)
	}
}

// build compiles the command without cgo and returns its path.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "waybill")
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	compile.Env = append(compile.Environ(), "CGO_ENABLED=0")
	var out bytes.Buffer
	compile.Stdout, compile.Stderr = &out, &out
	require.NoError(t, compile.Run(), out.String())
	return program
}
