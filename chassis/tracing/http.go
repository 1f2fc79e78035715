package tracing

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
)

// header is the traceparent as net/http has it.
const header = "Traceparent"

// Middleware makes a span of each request that is recorded, below the client's if it sent a
// traceparent. The handler finds the traceparent of the span in the request's header, and passes it
// on to the messages that the request causes. A request that is not recorded stays as it came: it
// has the client's traceparent or none. Probes and metrics make no span.
func Middleware(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Recorded(r.Context()) != "" {
			r.Header.Set(header, Traceparent(r.Context()))
		}
		next.ServeHTTP(w, r)
		if route := chi.RouteContext(r.Context()).RoutePattern(); route != "" {
			trace.SpanFromContext(r.Context()).SetName(r.Method + " " + route)
		}
	})
	recording := otelhttp.NewHandler(inner, "request", otelhttp.WithPropagators(propagator))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := current.Load(); s != nil && !isProbe(r.URL.Path) {
			if begins, recorded := s.entry(received(r.Header)); recorded {
				recording.ServeHTTP(w, r.WithContext(beginning(r.Context(), begins)))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func isProbe(path string) bool { return path == "/livez" || path == "/readyz" || path == "/metrics" }

// received is the first traceparent of a request, without the search for the header's name.
func received(h http.Header) string {
	if values := h[header]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// beginning has the span that is started next begin the trace, if it is one that begins.
func beginning(ctx context.Context, begins trace.TraceID) context.Context {
	if !begins.IsValid() {
		return ctx
	}
	return context.WithValue(ctx, beginsKey{}, begins)
}
