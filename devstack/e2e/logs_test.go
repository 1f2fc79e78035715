package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// logged are the lines that a service has written, as JSON.
func (s *system) logged(t *testing.T, service string) (lines []map[string]any) {
	t.Helper()
	written, err := os.ReadFile(filepath.Join(s.dir, "logs", service+".log"))
	require.NoError(t, err)
	for text := range strings.SplitSeq(string(written), "\n") {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// about says whether a line is about the order with this id, in the words of the service.
func about(line map[string]any, id string) bool {
	order, isOrder := line["order_id"].(float64)
	return isOrder && order == float64(id[0]-'0') || line["key"] == id || line["saga"] == "order/"+id
}

// An order's trace id finds what every service has logged about it, and nothing else, also where
// no spans are exported. The lines have the order's id, too.
func TestLogs_EachLineAboutAnOrderNamesItsTrace(t *testing.T) {
	t.Parallel()
	s := start(t, newDir(t), "LOG_LEVEL=debug", "LOG_FORMAT=json")
	traces := map[string]string{"1": "4bf92f3577b34da6a3ce929d0e0e4736", "2": "5bf92f3577b34da6a3ce929d0e0e4736"}
	for _, id := range []string{"1", "2"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(t, stack.Orders, "/v1/orders"),
			strings.NewReader(`{"userId":"u1","sku":"burger","quantity":1}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("traceparent", "00-"+traces[id]+"-00f067aa0ba902b7-00")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusAccepted, response.StatusCode)
	}
	for service, steps := range map[string][]string{
		stack.Orders:       {"order accepted", "command carried out"},
		stack.Relay:        {"row published", "row published", "row published", "row published", "row published"},
		stack.Orchestrator: {"transition", "transition", "transition"},
		stack.Inventory:    {"command carried out"},
	} {
		for id, trace := range traces {
			var found []string
			await(t, service+" has logged each step", func() bool {
				found = found[:0]
				for _, line := range s.logged(t, service) {
					if !about(line, id) && line["trace_id"] != trace {
						continue
					}
					require.Equal(t, trace, line["trace_id"], "%v", line)
					require.True(t, about(line, id), "%v", line)
					found = append(found, line["msg"].(string))
				}
				return len(found) >= len(steps)
			})
			require.Equal(t, steps, found, service)
		}
	}
	s.poison(t, "3", "00-6bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	await(t, "the dead letter is logged", func() bool {
		return slices.ContainsFunc(s.logged(t, stack.Inventory), func(line map[string]any) bool {
			return line["level"] == "ERROR" && line["key"] == "3" && line["trace_id"] == "6bf92f3577b34da6a3ce929d0e0e4736"
		})
	})
}

// poison sends Inventory a command that nobody can read.
func (s *system) poison(t *testing.T, key, traceparent string) {
	t.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(s.process(t, stack.Broker).Addr))
	require.NoError(t, err)
	defer producer.Close()
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{
		Topic: contracts.TopicInventoryCommands, Key: []byte(key), Value: []byte("{"), Headers: []kgo.RecordHeader{
			{Key: "ce_type", Value: []byte("ReserveInventory")}, {Key: "traceparent", Value: []byte(traceparent)},
		},
	}).FirstErr())
}
