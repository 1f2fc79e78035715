package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"waybill.example/chassis/logs"
)

type request struct{ id string }

func (r request) LogAttrs() []slog.Attr {
	return []slog.Attr{slog.String(logs.TraceKey, r.id), slog.String("path", "/v1/orders/17")}
}

// line is what a logger writes about a context.
func line(t *testing.T, ctx context.Context, attrs ...any) map[string]any { //nolint:revive // t first, as everywhere
	t.Helper()
	var out bytes.Buffer
	slog.New(logs.Handler(slog.NewJSONHandler(&out, nil))).With("service", "orders").InfoContext(ctx, "request failed", attrs...)
	var written map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &written))
	delete(written, "time")
	delete(written, "level")
	delete(written, "msg")
	return written
}

func TestHandler_ALineSaysWhatItsContextIsAbout(t *testing.T) {
	t.Parallel()
	of := context.WithValue(t.Context(), logs.SubjectKey{}, request{"a1"})
	require.Equal(t, map[string]any{"service": "orders", "n": 1.0, "trace_id": "a1", "path": "/v1/orders/17"}, line(t, of, "n", 1))
}

// The span is the narrower truth: a handler's own, below the request's.
func TestHandler_ASpanNamesTheTraceBeforeTheRequestDoes(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	of := trace.ContextWithSpanContext(context.WithValue(t.Context(), logs.SubjectKey{}, request{"a1"}), span)
	require.Equal(t, map[string]any{
		"service": "orders", "trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000", "path": "/v1/orders/17",
	}, line(t, of))
}

func TestHandler_ALineKeepsTheTraceItNames(t *testing.T) {
	t.Parallel()
	of := context.WithValue(t.Context(), logs.SubjectKey{}, request{"a1"})
	require.Equal(t, map[string]any{"service": "orders", "trace_id": "b2", "path": "/v1/orders/17"}, line(t, of, "trace_id", "b2"))
}

func TestHandler_LeavesOtherLinesAlone(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]any{"service": "orders"}, line(t, t.Context()))
	of := context.WithValue(t.Context(), logs.SubjectKey{}, request{})
	require.Equal(t, map[string]any{"service": "orders", "path": "/v1/orders/17"}, line(t, of), "nothing is said where nothing is known")
}
