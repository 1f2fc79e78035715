package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// waybill runs the command of the engineer on call, and returns what it printed and its status.
func (s *system) waybill(t *testing.T, args ...string) (string, int) {
	t.Helper()
	bin, err := build()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), filepath.Join(bin, "waybill"), args...)
	command.Env = append(os.Environ(), "ORCHESTRATOR_URL="+strings.TrimSuffix(s.url(t, stack.Orchestrator, "/"), "/"))
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		require.NoError(t, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func (s *system) found(t *testing.T, what string) string {
	t.Helper()
	out, status := s.waybill(t, "find", what)
	require.Zero(t, status, "find %s: %s", what, out)
	return out
}

// Whatever the engineer has in their hand, a number from a ticket, an id from a log, a place in
// Kafka, leads to what it is; and where the time of an order went needs no tracing backend.
func TestOnCall_FindsAnythingByItsIdAndSaysWhereTheTimeWent(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t))
	id := s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`)
	require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)
	var r struct {
		Bill struct {
			TotalMS float64
			Legs    []struct {
				Hop, Part string
				MS        float64
			}
			Notes []string
		}
		Timeline []struct {
			Kind, MessageID, Topic string
			Partition, Offset      int64
		}
	}
	await(t, "the saga to end, and all its messages to be handled", func() bool {
		answer := show(t, s.url(t, stack.Orchestrator, fmt.Sprintf("/v1/sagas/%d/explain", id)))
		require.NoError(t, json.Unmarshal([]byte(answer), &r))
		return strings.Contains(answer, `"state":"CONFIRMED"`) && strings.Contains(answer, "OrderConfirmed handled by orchestrator")
	})
	var sum float64
	hops := ""
	for _, leg := range r.Bill.Legs {
		require.GreaterOrEqual(t, leg.MS, 0.0)
		sum += leg.MS
		hops += leg.Hop + "; " + leg.Part + "\n"
	}
	require.InDelta(t, r.Bill.TotalMS, sum, 0.01)
	for _, want := range []string{
		"order accepted by orders; transaction", "OrderCreated: orders → orchestrator; commit and relay", "OrderCreated: orders → orchestrator; broker and queue",
		"ReserveInventory: orchestrator → inventory; commit and relay", "inventory wrote InventoryReserved; transaction",
		"ConfirmOrder: orchestrator → orders; broker and queue", "OrderConfirmed: orders → orchestrator; broker and queue",
	} {
		require.Contains(t, hops, want, "%v", r.Bill.Notes)
	}

	number := fmt.Sprint(id)
	out := s.found(t, number)
	for _, want := range []string{"order " + number + "\n  CONFIRMED", "saga order/" + number, "key " + number, "outbox row orders/", "waybill explain " + number} {
		require.Contains(t, out, want)
	}
	require.Contains(t, s.found(t, "order/"+number), "CONFIRMED since")
	require.Contains(t, s.found(t, "orders/1"), "OrderCreated for orders.v1")
	for _, e := range r.Timeline {
		if e.Kind != "handled" || e.Topic != "orders.v1" {
			continue
		}
		out := s.found(t, e.MessageID)
		require.Contains(t, out, "handled by orchestrator")
		require.Contains(t, out, "of key "+number)
		require.Contains(t, out, "outbox row orders/")
		out = s.found(t, fmt.Sprintf("%s/%d@%d", e.Topic, e.Partition, e.Offset))
		require.Contains(t, out, "record orders.v1/")
		require.Contains(t, out, "event "+e.MessageID)
	}
	out, status := s.waybill(t, "find", "4711")
	require.Equal(t, 1, status)
	require.Regexp(t, `nothing is known of 4711; searched as: saga, key of messages, .*order`, out)

	out, status = s.waybill(t, "latency", "--since", "10m")
	require.Zero(t, status, out)
	require.Regexp(t, `OrderCreated: orders → orchestrator +broker and queue +1 `, out)
	out, status = s.waybill(t, "explain", number)
	require.Zero(t, status, out)
	require.Contains(t, out, "Where the time went")
}

// What operators do to many sagas at once is a job, from the count before it to the result of each.
// The shell has what make up gives it.
func TestOnCall_ActsOnManySagasByAJob(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t))
	shell := func(line string) (string, int) {
		bin, err := build()
		require.NoError(t, err)
		command := exec.CommandContext(t.Context(), "/bin/sh", "-c", `. "$1/env" && PATH="$2:$PATH" && `+line, "sh", s.dir, bin)
		out, err := command.CombinedOutput()
		if err != nil && command.ProcessState == nil {
			require.NoError(t, err)
		}
		return string(out), command.ProcessState.ExitCode()
	}
	id := s.place(t, `{"userId":"u1","sku":"burger","quantity":2}`)
	require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)
	await(t, "the saga to end", func() bool {
		out, _ := shell("waybill saga list --state CONFIRMED")
		return strings.Contains(out, "CONFIRMED")
	})
	out, status := shell("waybill jobs")
	require.Zero(t, status, out)
	require.Equal(t, "No jobs.\n", out)
	out, status = shell("waybill saga batch cancel --state CONFIRMED --definition order@1 --reason recall")
	require.Zero(t, status, out)
	require.Contains(t, out, "cancel would be done to 1 sagas.")
	out, status = shell("waybill saga batch cancel --state CONFIRMED --definition order@1 --reason recall --yes --wait")
	require.Zero(t, status, out)
	require.Contains(t, out, "1 done, 0 needed nothing any more, 0 refused")
	await(t, "the order to be cancelled", func() bool { return s.outcome(t, id).Status == "CANCELLED" })
	for line, want := range map[string]string{
		"waybill jobs show orchestrator/1":                       "Job orchestrator/1: finished",
		"waybill jobs show 1 --json":                             `"kind": "saga.cancel"`,
		"waybill jobs results orchestrator/1":                    "order/" + fmt.Sprint(id) + "  done",
		"waybill jobs list":                                      "orchestrator/1",
		"waybill find orchestrator/1":                            "job orchestrator/1",
		"waybill jobs cancel orchestrator/1 --reason x":          "the job is not in a state for that: it is finished",
		"waybill jobs pause 1 --reason x --revision 99":          "the job has changed since",
		"waybill jobs show orchestrator/4711":                    "there is no job orchestrator/4711",
		"ORCHESTRATOR_TOKEN= waybill jobs pause 1 --reason none": "ORCHESTRATOR_TOKEN",
		// Every service of a stack has the operators' token, and the shell has it.
		"waybill dlq redrive --service orders 1 --reason x":       "there is no such dead letter",
		"waybill dlq redrive --service inventory 1 --reason x":    "there is no such dead letter",
		"waybill dlq redrive --service orchestrator 1 --reason x": "there is no such dead letter",
		// The stock can be changed without, under no name.
		"waybill stock move cola --in=1 --reason=found && waybill stock movements cola":                    "dev",
		"INVENTORY_TOKEN= waybill stock move pizza --in=1 --reason=found && waybill stock movements pizza": "anonymous",
	} {
		out, _ := shell(line)
		require.Contains(t, out, want, line)
	}
}
