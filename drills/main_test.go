package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/devstack/stack"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

func drills(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := stack.Run(t.Context(), "drills", description, new(commands), args, &out, &out)
	return out.String(), err
}

func TestListNamesEachDrillAndItsPromise(t *testing.T) {
	t.Parallel()
	out, err := drills(t, "list")
	require.NoError(t, err)
	require.Regexp(t, `kafka-down +30s +the broker dies`, out)
	require.Contains(t, out, "chaos")
}

func TestWhatCannotBeRunIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`there is no drill "nonsense": ` + "`drills list` shows them": {"run", "nonsense"},
		"say which drills to run":                                     {"run"},
		"has no stack.json":                                           {"audit", "--dir", t.TempDir()},
	} {
		_, err := drills(t, args...)
		require.ErrorContains(t, err, want)
	}
}

func TestAnInterruptedDrillEndsAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	dir := t.TempDir()
	err := stack.Run(ctx, "drills", description, new(commands), []string{"run", "kafka-down", "--dir", dir, "--html", dir + "/report.html"}, &out, &out)
	require.EqualError(t, err, "interrupted")
}
