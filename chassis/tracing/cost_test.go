package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"waybill.example/sdk/inbox"
)

// silent is an answer that nobody reads, and that takes no memory for each request.
type silent struct{ header http.Header }

func (s silent) Header() http.Header            { return s.header }
func (s silent) Write(body []byte) (int, error) { return len(body), nil }
func (s silent) WriteHeader(int)                {}
func row(traceparent string) Row {
	return Row{Topic: "orders.v1", Inserted: time.Now(), Headers: headers(traceparent)}
}

func headers(traceparent string) []byte {
	if traceparent == "" {
		return []byte(`{"ce_causationid": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}`)
	}
	return []byte(`{"traceparent": "` + traceparent + `", "ce_causationid": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}`)
}

func request(t testing.TB, traceparent string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/orders", nil)
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	return r
}

// hooks are what tracing does about an order: each hop of it, with what came in.
func hooks(t testing.TB, traceparent string) map[string]func() {
	t.Helper()
	ctx, w, r := t.Context(), silent{http.Header{}}, request(t, traceparent)
	router := chi.NewRouter()
	router.Use(Middleware)
	router.Post("/v1/orders", func(http.ResponseWriter, *http.Request) {})
	batch, published := []inbox.Delivery{message(traceparent), message(traceparent)}, row(traceparent)
	s := Statements().(statements)
	query, queried := pgx.TraceQueryStartData{SQL: "select 1"}, pgx.TraceQueryEndData{}
	return map[string]func(){
		"request": func() { router.ServeHTTP(w, r) },
		"messages": func() {
			_, _, end := Process(ctx, "group", batch)
			end(nil)
		},
		"row":       func() { Published(published) },
		"statement": func() { s.TraceQueryEnd(s.TraceQueryStart(ctx, nil, query), nil, queried) },
		"batch of statements": func() {
			within := s.TraceBatchStart(ctx, nil, pgx.TraceBatchStartData{})
			s.TraceBatchQuery(within, nil, pgx.TraceBatchQueryData{})
			s.TraceBatchEnd(within, nil, pgx.TraceBatchEndData{})
		},
		"exemplar of a request": func() { Recorded(ctx) },
		"exemplar of a saga":    func() { RecordedIn(traceparent) },
	}
}

// An order that is sampled out costs what it does without tracing: no hook of its way takes memory,
// whether its client says so or nobody does, and nothing is added to what it carries.
func TestASampledOutOrderCostsNothing(t *testing.T) { //nolint:paralleltest // the provider is the process's
	for name, traceparent := range map[string]string{"by its client": unsampled, "by the sampler": ""} {
		t.Run(name, func(t *testing.T) {
			off := make(map[string]float64)
			for hook, do := range hooks(t, traceparent) {
				off[hook] = testing.AllocsPerRun(1000, do) // the router's own
			}
			exporter := sampling(t, "parentbased_traceidratio", "1e-12")
			for hook, do := range hooks(t, traceparent) {
				require.InDelta(t, off[hook], testing.AllocsPerRun(1000, do), 0, hook)
				if hook != "request" {
					require.Zero(t, off[hook], hook)
				}
			}
			given := []inbox.Delivery{message(traceparent)}
			ctx, batch, _ := Process(t.Context(), "group", given)
			require.Same(t, &given[0], &batch[0])
			require.Equal(t, t.Context(), ctx)
			require.Empty(t, exporter.GetSpans())
		})
	}
}

// What a request that is sampled out passes on to its messages is what its client sent: a
// traceparent that nobody needs would be in each row, in the WAL and on each topic.
func TestASampledOutRequestPassesOnWhatItReceived(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := sampling(t, "parentbased_always_off", "")
	var passed []string
	handler := Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header.Values("traceparent") }))
	for _, sent := range []string{"", unsampled, "nonsense"} {
		r := request(t, sent)
		before := r.Header.Clone().Values("traceparent")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, before, passed)
	}
	require.Empty(t, exporter.GetSpans())
}

func TestCalls_ASampledOutCallHasNoContextOfItsOwn(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := sampling(t, "parentbased_always_off", "")
	c := newCalls()
	about := &stats.RPCTagInfo{FullMethodName: "/stock.v1.Stock/Reserve"}
	out := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", unsampled))
	require.Equal(t, out, c.TagRPC(out, about))
	require.Equal(t, t.Context(), c.TagRPC(t.Context(), about))
	c.HandleRPC(out, &stats.End{})

	ctx := c.TagRPC(metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", in)), about)
	require.Equal(t, traceID, Recorded(ctx))
	c.HandleRPC(ctx, &stats.End{})
	require.Len(t, exporter.GetSpans(), 1)
}

// What tracing adds to each hop: `go test -bench Hooks ./chassis/tracing`.
func BenchmarkHooks(b *testing.B) {
	bench := func(name, traceparent string) {
		for hook, do := range hooks(b, traceparent) {
			b.Run(hook+", "+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					do()
				}
			})
		}
	}
	bench("off", "")
	s, err := newSampler("parentbased_traceidratio", "1e-12")
	require.NoError(b, err)
	stop, err := start(b.Context(), "bench", "v1", s, sdktrace.NewBatchSpanProcessor(tracetest.NewNoopExporter()))
	require.NoError(b, err)
	defer stop()
	bench("sampled out", "")
	bench("sampled out by its client", unsampled)
	bench("recorded", in)
}
