// Package tracing exports OpenTelemetry spans of what a service does: requests, statements, rows
// that are published and messages that are handled. An order is one trace from the request to its
// last message, since each hop passes its W3C traceparent on
// (https://www.w3.org/TR/trace-context/).
//
// Whether an order is recorded is decided where its trace begins, before anything is made for it.
// One that is not is handled as if there were no tracing: it has no span and no context of its own,
// and its rows and messages have a traceparent only if its client sent one.
//
// It is off, and costs a look at a pointer, unless the standard environment variables say where
// spans go (https://opentelemetry.io/docs/specs/otel/protocol/exporter/):
// OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. Spans travel as OTLP over
// HTTP. OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES and the others that the SDK reads work as
// they are documented there.
//
// Messages follow the semantic conventions for messaging 1.37
// (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).
package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/sdk/tracecontext"
)

// scope names the instrumentation, as its import path.
const scope = "waybill.example/chassis/tracing"

// flushTimeout bounds how long a service that stops waits for its last spans to be taken.
const flushTimeout = 3 * time.Second

var (
	current    atomic.Pointer[sampler] // nil: no spans are made
	propagator = propagation.TraceContext{}
)

// Enabled reports whether spans are made at all. It is cheap enough for a hot path.
func Enabled() bool { return current.Load() != nil }

func tracer() trace.Tracer { return otel.Tracer(scope) }

// wanted reports whether the environment says where spans go.
func wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(os.Getenv("OTEL_TRACES_EXPORTER"), "none") {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Start begins to export the spans of a service if the environment says where to. The returned
// function sends what is left, for at most 3 s, and ends it. A collector that cannot be reached
// costs spans, and nothing else.
func Start(ctx context.Context, service, version string, log *slog.Logger) (stop func(), err error) {
	if !wanted() {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.WarnContext(ctx, "spans are lost", "error", err) }))
	sampler, err := newSampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		log.WarnContext(ctx, "every trace is recorded", "error", err)
	}
	log.InfoContext(ctx, "traces are exported", "endpoint", cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")),
		"sampler", sampler.Description())
	return start(ctx, service, version, sampler, sdktrace.NewBatchSpanProcessor(exporter))
}

// start is Start with what decides about traces, and the processor that gets the spans. It is for
// one service in a process.
func start(ctx context.Context, service, version string, s sampler, processor sdktrace.SpanProcessor) (stop func(), err error) {
	about, err := resource.Merge(resource.NewSchemaless(semconv.ServiceName(service), semconv.ServiceVersion(version)), resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(processor),
		sdktrace.WithSampler(s), sdktrace.WithIDGenerator(ids{}))
	otel.SetTracerProvider(provider)
	current.Store(&s)
	return func() {
		current.Store(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		_ = provider.Shutdown(ctx) // spans are lost then, and nothing else
	}, nil
}

// parent is the remote span of a traceparent, and false if there is none or it was not sampled:
// what its beginning did not record, nobody records.
func parent(traceparent string) (context.Context, bool) {
	if !sampled(traceparent) {
		return nil, false
	}
	ctx := remote(context.Background(), traceparent)
	return ctx, trace.SpanContextFromContext(ctx).IsSampled()
}

// remote has what is begun next come below a traceparent.
func remote(ctx context.Context, traceparent string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{tracecontext.Header: traceparent})
}

// sampled looks at the flag alone, which is the last bit of the fourth field: most messages are
// done with then.
func sampled[T string | []byte](traceparent T) bool {
	const flags = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") - 1
	return len(traceparent) > flags && strings.IndexByte("13579bdf", traceparent[flags]) >= 0
}

// Recorded is the trace id of the span that ctx has, "" if there is none or it is not recorded:
// what an exemplar may point to.
func Recorded(ctx context.Context) string {
	if !Enabled() {
		return "" // before anything is looked for in the context
	}
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return span.TraceID().String()
	}
	return ""
}

// RecordedIn is [Recorded] of a traceparent.
func RecordedIn(traceparent string) string {
	if !Enabled() || !sampled(traceparent) {
		return ""
	}
	return tracecontext.TraceID(traceparent)
}

// Traceparent is that of the span which ctx has, for what is caused by it; "" where there is none.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagator.Inject(ctx, carrier)
	return carrier["traceparent"]
}
