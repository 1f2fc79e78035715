package app_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/orchestrator/cli"
)

// command runs `orchestrator saga …` against the system.
func (s *system) runCLI(args ...string) (string, error) {
	s.t.Helper()
	var root struct {
		Saga cli.Saga `cmd:""`
	}
	parser, err := kong.New(&root, kong.Exit(func(int) {}))
	require.NoError(s.t, err)
	parsed, err := parser.Parse(append([]string{"saga", "--url", "http://" + s.addr}, args...))
	require.NoError(s.t, err)
	var out bytes.Buffer
	err = parsed.Run(&root.Saga, cli.Terminal{Context: s.t.Context(), Out: &out})
	return out.String(), err
}

func TestTheCommandShowsAndMendsSagas(t *testing.T) {
	t.Parallel()
	s := startSystem(t, withToken)
	out, err := s.runCLI("list")
	require.NoError(t, err)
	require.Equal(t, "No sagas.\n", out)

	s.send(created(7))
	s.command(7, contracts.TypeReserveInventory, 1)
	out, err = s.runCLI("list", "--state", "running")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^7 +order v1 +RUNNING +reserve`, out)
	out, err = s.runCLI("list", "--stuck")
	require.NoError(t, err)
	require.Equal(t, "No sagas.\n", out)

	out, err = s.runCLI("show", "7")
	require.NoError(t, err)
	require.Contains(t, out, "Saga 7 of order version 1: RUNNING")
	require.Contains(t, out, "OrderCreated")
	out, err = s.runCLI("explain", "7")
	require.NoError(t, err)
	require.Contains(t, out, "In the way:")
	require.Contains(t, out, "ReserveInventory is outbox row 1")

	_, err = s.runCLI("retry", "7", "--reason", "lost")
	require.ErrorContains(t, err, "set --token or ORCHESTRATOR_TOKEN")
	out, err = s.runCLI("--token", token, "retry", "7", "--reason", "lost", "--wait", "0.1")
	require.NoError(t, err)
	require.Contains(t, out, "No reply to ReserveInventory")
	require.Contains(t, out, "by ann: lost")
	_, err = s.runCLI("--token", token, "cancel", "7", "--reason", "the client called", "--wait", "0")
	require.NoError(t, err)
	out, err = s.runCLI("--token", token, "force", "7", "CANCELLED", "--reason", "settled by hand")
	require.NoError(t, err)
	require.Contains(t, out, "The saga is CANCELLED.")
	_, err = s.runCLI("show", "8")
	require.ErrorContains(t, err, "there is no such saga")

	out, err = s.runCLI("--json", "show", "7")
	require.NoError(t, err)
	var detail struct{ State string }
	require.NoError(t, json.Unmarshal([]byte(out), &detail))
	require.Equal(t, "CANCELLED", detail.State)
	out, err = s.runCLI("diagram")
	require.NoError(t, err)
	require.Contains(t, out, "stateDiagram-v2")
}

func TestTheCommandSaysWhereItLookedWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := &system{t: t, addr: "127.0.0.1:1"}
	began := time.Now()
	_, err := s.runCLI("list")
	require.ErrorContains(t, err, "no orchestrator answers at http://127.0.0.1:1")
	require.Less(t, time.Since(began), 10*time.Second)
}
