package tracing

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/sdk/tracecontext"
)

// Middleware makes a span of each request, below the client's if it sent a traceparent. The handler
// finds a traceparent in the request's header either way: that of the span, which it passes on to
// the messages that the request causes. Probes and metrics make none.
func Middleware(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if traceparent := Traceparent(r.Context()); traceparent != "" {
			r.Header.Set(tracecontext.Header, traceparent)
		}
		next.ServeHTTP(w, r)
		if route := chi.RouteContext(r.Context()).RoutePattern(); route != "" {
			trace.SpanFromContext(r.Context()).SetName(r.Method + " " + route)
		}
	})
	return otelhttp.NewHandler(inner, "request",
		otelhttp.WithPropagators(propagator),
		otelhttp.WithFilter(func(r *http.Request) bool {
			return r.URL.Path != "/livez" && r.URL.Path != "/readyz" && r.URL.Path != "/metrics"
		}))
}
