package e2e_test

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
)

// spans are what the services have exported, over OTLP, to a collector of the test's own.
type spans struct {
	mu  sync.Mutex
	all []span
}

type span struct {
	*tracepb.Span
	service string
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	sent, _ := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(sent, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		service := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, sp := range scope.GetSpans() {
				s.all = append(s.all, span{sp, service})
			}
		}
	}
}

// of returns the spans of a trace.
func (s *spans) of(trace string) (found []span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.all {
		if hex.EncodeToString(sp.GetTraceId()) == trace {
			found = append(found, sp)
		}
	}
	return found
}

// path is where a span stands below the client's: the names of those above it, and its own, without
// statements.
func path(all []span, client string, sp span) string {
	names := []string{sp.service + ": " + sp.GetName()}
	for hex.EncodeToString(sp.GetParentSpanId()) != client {
		i := slices.IndexFunc(all, func(above span) bool { return string(above.GetSpanId()) == string(sp.GetParentSpanId()) })
		if i < 0 {
			return "lost: " + strings.Join(names, " > ")
		}
		sp = all[i]
		names = append([]string{sp.service + ": " + sp.GetName()}, names...)
	}
	return strings.Join(names, " > ")
}

// others returns the names of the spans that belong to no trace of these.
func (s *spans) others(traces ...string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.all {
		if !slices.Contains(traces, hex.EncodeToString(sp.GetTraceId())) {
			found = append(found, sp.service+": "+sp.GetName())
		}
	}
	return found
}

// placed places an order with a traceparent, or none, and returns once it has ended.
func (s *system) placed(t *testing.T, id int64, traceparent string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(t, stack.Orders, "/v1/orders"),
		strings.NewReader(`{"userId":"u1","sku":"burger","quantity":1}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if traceparent != "" {
		request.Header.Set("traceparent", traceparent)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	require.Equal(t, "CONFIRMED", s.outcome(t, id).Status)
}

// An order is one trace: each hop is below the one that caused it, from the client's own span to
// the event that says how it ended. What was sampled out, by the client or where its trace would
// begin, leaves no span anywhere, and its messages carry what the client sent, and nothing else.
func TestTraces_AnOrderIsOneTraceThroughAllHops(t *testing.T) {
	t.Parallel()
	exported := &spans{}
	server := httptest.NewServer(exported)
	t.Cleanup(server.Close)
	s := start(t, newDir(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_TRACES_SAMPLER=parentbased_always_off")

	const client, sampled = "00f067aa0ba902b7", "4bf92f3577b34da6a3ce929d0e0e4736"
	const notSampled = "00-5bf92f3577b34da6a3ce929d0e0e4736-" + client + "-00"
	s.placed(t, 1, notSampled)
	s.placed(t, 2, "")
	s.placed(t, 3, "00-"+sampled+"-"+client+"-01")

	const (
		post      = "orders: POST /v1/orders"
		started   = post + " > orchestrator: process orders.v1"
		reserved  = started + " > inventory: process inventory.commands.v1"
		replied   = reserved + " > orchestrator: process inventory.v1"
		confirmed = replied + " > orders: process orders.commands.v1"
		told      = confirmed + " > orchestrator: process orders.v1"
	)
	hops := []string{
		post, post + " > outbox-relay: send orders.v1", started, started + " > outbox-relay: send inventory.commands.v1",
		reserved, reserved + " > outbox-relay: send inventory.v1", replied, replied + " > outbox-relay: send orders.commands.v1",
		confirmed, confirmed + " > outbox-relay: send orders.v1", told,
	}
	var found []string
	await(t, "the spans of every hop", func() bool {
		all := exported.of(sampled)
		found = found[:0]
		for _, sp := range all {
			if !isStatement(sp) {
				found = append(found, path(all, client, sp))
			}
		}
		lost := func(path string) bool { return strings.HasPrefix(path, "lost") } // or what is above it comes later
		return len(found) >= len(hops) && !slices.ContainsFunc(found, lost)
	})
	require.ElementsMatch(t, hops, found)
	require.True(t, slices.ContainsFunc(exported.of(sampled), isStatement), "statements are below what sent them")
	require.Empty(t, exported.others(sampled))
	s.exemplars(t, sampled)
	carried := s.traceparents(t)
	require.Equal(t, map[string]int{notSampled: 5}, carried["1"], "as it came, in each message")
	require.Equal(t, map[string]int{"": 5}, carried["2"])
	require.Len(t, carried["3"], 5, "each message its own span's")
}

// traceparents are those of the messages of each order, and in how many each is.
func (s *system) traceparents(t *testing.T) map[string]map[string]int {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(s.process(t, stack.Broker).Addr), kgo.ConsumeTopics(contracts.Topics()...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer consumer.Close()
	carried := make(map[string]map[string]int)
	for n := 0; n < 15; {
		fetched := consumer.PollFetches(t.Context())
		require.NoError(t, fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			traceparent := ""
			for _, h := range r.Headers {
				if h.Key == "traceparent" {
					traceparent = string(h.Value)
				}
			}
			if carried[string(r.Key)] == nil {
				carried[string(r.Key)] = make(map[string]int)
			}
			carried[string(r.Key)][traceparent]++
			n++
		})
	}
	return carried
}

// exemplars: what was slow leads to its trace, from the latency of each hop.
func (s *system) exemplars(t *testing.T, trace string) {
	t.Helper()
	for histogram, service := range map[string]string{
		"http_request_duration_seconds": stack.Orders, "waybill_consumer_batch_seconds": stack.Inventory,
		"waybill_relay_publish_seconds": stack.Relay, "waybill_saga_seconds": stack.Orchestrator,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(t, service, "/metrics"), nil)
		require.NoError(t, err)
		request.Header.Set("Accept", "application/openmetrics-text")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		page, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Regexp(t, `(?m)^`+histogram+`_bucket.* # \{trace_id="`+trace+`"\}`, string(page))
	}
}

func isStatement(sp span) bool {
	for _, a := range sp.GetAttributes() {
		if a.GetKey() == "db.system.name" || a.GetKey() == "db.system" {
			return true
		}
	}
	return false
}
