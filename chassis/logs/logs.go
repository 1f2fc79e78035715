// Package logs has each line say what it is about. The line is given a context, the context knows
// its request or its span, and [Handler] adds their ids, so that no caller has to, and one search
// for a trace id finds the lines of all services.
package logs

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// TraceKey is the name of the attribute with the W3C trace id. A line that has one of its own keeps
// it.
const TraceKey = "trace_id"

// Subject is what a context is about, such as a request. LogAttrs is called for each line that is
// written, by any goroutine that has the context.
type Subject interface{ LogAttrs() []slog.Attr }

// SubjectKey is under which a context has its [Subject].
type SubjectKey struct{}

// Handler returns a handler that adds to each line what its context is about: the attributes of the
// Subject, and trace_id and span_id of the OpenTelemetry span. A line whose context has neither
// stays as it is.
func Handler(next slog.Handler) slog.Handler { return handler{next} }

type handler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h handler) Handle(ctx context.Context, line slog.Record) error {
	if attrs := missing(line, about(ctx)); len(attrs) > 0 {
		line = line.Clone()
		line.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, line) //nolint:wrapcheck // the error is the handler's that is wrapped
}

// WithAttrs implements [slog.Handler].
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// about are the attributes of a context, those of the span first.
func about(ctx context.Context) (attrs []slog.Attr) {
	if ctx == nil {
		return nil
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String(TraceKey, span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if subject, ok := ctx.Value(SubjectKey{}).(Subject); ok {
		attrs = append(attrs, subject.LogAttrs()...)
	}
	return attrs
}

// missing are the attributes that a line does not have yet.
func missing(line slog.Record, attrs []slog.Attr) []slog.Attr {
	if len(attrs) == 0 {
		return nil
	}
	has := make(map[string]bool, line.NumAttrs()+len(attrs))
	line.Attrs(func(a slog.Attr) bool {
		has[a.Key] = true
		return true
	})
	kept := attrs[:0]
	for _, a := range attrs {
		if !has[a.Key] && a.Value.String() != "" {
			has[a.Key] = true
			kept = append(kept, a)
		}
	}
	return kept
}
