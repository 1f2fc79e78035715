package tracing

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"waybill.example/sdk/inbox"
)

// The names, and what they decide, are those of the SDK, which is asked by its own reading of the
// environment.
func TestNewSampler_DecidesAsTheSDKDoes(t *testing.T) {
	for _, tt := range []struct{ name, arg string }{
		{"", ""},
		{"always_on", ""},
		{"always_off", ""},
		{"traceidratio", ""},
		{"traceidratio", "0.25"},
		{"traceidratio", "0"},
		{"traceidratio", "1"},
		{"parentbased_always_on", ""},
		{"parentbased_always_off", ""},
		{"parentbased_traceidratio", "0.25"},
		{" Parentbased_TraceIDRatio ", " 0.5 "},
	} {
		t.Run(tt.name+" "+tt.arg, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", tt.name)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", tt.arg)
			tracer := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(ids{})).Tracer("test")
			s, err := newSampler(tt.name, tt.arg)
			require.NoError(t, err)
			for range 50 {
				for _, sent := range []string{"", unsampled, in} {
					id, recorded := s.entry(sent)
					ctx := beginning(t.Context(), id)
					if sent != "" {
						ctx = remote(ctx, sent)
					}
					_, span := tracer.Start(ctx, "request")
					require.Equal(t, span.IsRecording(), recorded, "with %q", sent)
					if sent == "" {
						require.Equal(t, id, span.SpanContext().TraceID(), "what was decided about is what begins")
					}
				}
			}
		})
	}
}

func TestNewSampler_RecordsEverythingWhereItIsToldWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, arg string }{
		{"sometimes", ""}, {"parentbased_", ""}, {"traceidratio", "2"}, {"traceidratio", "-1"}, {"parentbased_traceidratio", "NaN"}, {"traceidratio", "few"},
	} {
		s, err := newSampler(tt.name, tt.arg)
		require.Error(t, err, tt)
		_, recorded := s.entry("")
		require.True(t, recorded, tt)
	}
}

// The share of orders that are recorded is the one that was asked for: it is decided once.
func TestMiddleware_DecidesOnce(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := sampling(t, "parentbased_traceidratio", "0.5")
	handler := Middleware(http.NotFoundHandler())
	for range 1000 {
		handler.ServeHTTP(httptest.NewRecorder(), request(t, ""))
	}
	require.InDelta(t, 500, len(exporter.GetSpans()), 120)
}

// A batch is looked at if a message of it is: its span begins a trace of its own, about which the
// share says nothing.
func TestProcess_RecordsABatchWithItsMessages(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := sampling(t, "parentbased_always_off", "")
	_, _, end := Process(t.Context(), "group", []inbox.Delivery{message(in), message(in)})
	end(nil)
	spans := exporter.GetSpans()
	require.Len(t, spans, 3)
	require.Equal(t, "process batch", spans[2].Name)
}

// With a sampler that does not care what was decided before, a message may be sampled out here.
func TestProcess_PassesOnWhatItDoesNotRecord(t *testing.T) { //nolint:paralleltest // the provider is the process's
	exporter := sampling(t, "always_off", "")
	given := []inbox.Delivery{message(in)}
	_, batch, end := Process(t.Context(), "group", given)
	end(nil)
	require.Same(t, &given[0], &batch[0])
	require.Empty(t, Published(row(in)))
	require.Empty(t, exporter.GetSpans())
}
