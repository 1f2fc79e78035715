package tracing

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/sdk/inbox"
)

const (
	traceID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	in        = "00-" + traceID + "-00f067aa0ba902b7-01"
	unsampled = "00-" + traceID + "-00f067aa0ba902b7-00"
)

// recording has spans kept in memory. The provider is the process's, so these tests take turns.
func recording(t *testing.T) *tracetest.InMemoryExporter {
	t.Helper()
	return sampling(t, "", "")
}

func sampling(t *testing.T, name, arg string) *tracetest.InMemoryExporter {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	s, err := newSampler(name, arg)
	require.NoError(t, err)
	stop, err := start(t.Context(), "test", "v1", s, sdktrace.NewSimpleSpanProcessor(exporter))
	require.NoError(t, err)
	t.Cleanup(stop)
	return exporter
}

func message(traceparent string) inbox.Delivery {
	return inbox.Delivery{Topic: "orders.v1", Offset: 7, Key: []byte("1"), Headers: []inbox.Header{
		{Key: "ce_id", Value: []byte("a")}, {Key: "traceparent", Value: []byte(traceparent)},
	}}
}

func TestStart_DoesNothingUnlessTheEnvironmentSaysWhere(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing is set": {},
		"it is disabled": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv(key, value)
			}
			stop, err := Start(t.Context(), "test", "v1", slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			defer stop()
			require.False(t, Enabled())
		})
	}
}

// A collector that is not there must not hold up a service that stops.
func TestStart_StopsInTimeWithoutACollector(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	stop, err := Start(t.Context(), "test", "v1", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.True(t, Enabled())
	_, _, end := Process(t.Context(), "group", []inbox.Delivery{message(in)})
	end(nil)
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), flushTimeout+5*time.Second)
	require.False(t, Enabled())
}

func TestProcess_PutsWhatAMessageCausesBelowIt(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := recording(t)
	ctx, batch, end := Process(t.Context(), "group", []inbox.Delivery{message(in)})
	span := trace.SpanContextFromContext(ctx)
	require.Equal(t, traceID, span.TraceID().String())
	require.Equal(t, traceID, Recorded(ctx))
	require.Equal(t, "00-"+traceID+"-"+span.SpanID().String()+"-01", batch[0].Header("traceparent"))
	end(errors.New("no"))
	require.Len(t, exporter.GetSpans(), 1)
	require.Equal(t, "process orders.v1", exporter.GetSpans()[0].Name)
	require.Len(t, exporter.GetSpans()[0].Events, 1, "the error")
}

func TestProcess_LinksABatchToItsMessages(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := recording(t)
	given := []inbox.Delivery{message(in), message(unsampled), message("nonsense"), message(in)}
	_, batch, end := Process(t.Context(), "group", given)
	end(nil)
	spans := exporter.GetSpans()
	require.Len(t, spans, 3)
	require.Equal(t, "process batch", spans[2].Name)
	require.Len(t, spans[2].Links, 2)
	require.Equal(t, unsampled, batch[1].Header("traceparent"), "it is passed on as it came")
	require.Equal(t, in, given[0].Header("traceparent"), "what was given is not changed")
}

func TestPublished_IsBelowWhatInsertedTheRow(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := recording(t)
	inserted := time.Now().Add(-time.Second)
	require.Equal(t, traceID, Published(Row{Topic: "orders.v1", Inserted: inserted, Headers: []byte(`{"traceparent": "` + in + `"}`)}))
	require.Equal(t, traceID, RecordedIn(in))
	Published(Row{Headers: []byte(`{}`)})
	Published(Row{})
	spans := exporter.GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "00f067aa0ba902b7", spans[0].Parent.SpanID().String())
	require.True(t, inserted.Equal(spans[0].StartTime))
}

func TestMiddleware_NamesRequestsByTheirRouteAndPassesTheirSpansOn(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := recording(t)
	router := chi.NewRouter()
	router.Use(Middleware)
	var passed string
	router.Get("/v1/orders/{id}", func(_ http.ResponseWriter, r *http.Request) { passed = r.Header.Get("traceparent") })
	router.Get("/livez", func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"/v1/orders/1", "/livez"} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		request.Header.Set("traceparent", in)
		router.ServeHTTP(httptest.NewRecorder(), request)
	}
	spans := exporter.GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "GET /v1/orders/{id}", spans[0].Name)
	require.Equal(t, traceID, spans[0].SpanContext.TraceID().String())
	require.Contains(t, passed, spans[0].SpanContext.SpanID().String())
}

// What a service asks its database by itself begins no trace.
func TestStatements_AreRecordedBelowASpanOnly(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := recording(t)
	s := Statements().(statements)
	ctx := s.TraceQueryStart(t.Context(), nil, pgx.TraceQueryStartData{SQL: "select 1"})
	s.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{})
	require.Empty(t, exporter.GetSpans())
	above, span := tracer().Start(t.Context(), "request")
	s.TraceQueryEnd(s.TraceQueryStart(above, nil, pgx.TraceQueryStartData{SQL: "select 1"}), nil, pgx.TraceQueryEndData{})
	span.End()
	require.Len(t, exporter.GetSpans(), 2)
	require.Equal(t, span.SpanContext().SpanID(), exporter.GetSpans()[0].Parent.SpanID())
}
