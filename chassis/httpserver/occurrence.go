package httpserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/logs"
	"waybill.example/sdk/tracecontext"
)

// occurrence is one request, for what is said about it when something is wrong: nothing is made of
// it until then.
type occurrence struct {
	request *http.Request
	once    sync.Once
	trace   string // set by once
}

// remembered is the middleware that has an operation know its request.
func remembered(ctx huma.Context, next func(huma.Context)) {
	request, _ := humachi.Unwrap(ctx)
	next(huma.WithValue(ctx, logs.SubjectKey{}, &occurrence{request: request}))
}

// occurrenceOf returns the request that ctx belongs to; nil outside of one.
func occurrenceOf(ctx context.Context) *occurrence {
	o, _ := ctx.Value(logs.SubjectKey{}).(*occurrence)
	return o
}

// maxInstance bounds a path that is shown as it came.
const maxInstance = 512

// LogAttrs implements [logs.Subject].
func (o *occurrence) LogAttrs() []slog.Attr {
	return []slog.Attr{slog.String(logs.TraceKey, o.traceID()), slog.String("method", o.request.Method), slog.String("path", o.instance())}
}

// instance is the path of the request, and "" if it is longer than anybody wants to see.
func (o *occurrence) instance() string {
	if path := o.request.URL.EscapedPath(); len(path) <= maxInstance {
		return path
	}
	return ""
}

// traceID is the trace id of the client's traceparent, or else a new one.
func (o *occurrence) traceID() string {
	o.once.Do(func() { o.trace = traceOf(o.request) })
	return o.trace
}

func traceOf(r *http.Request) string {
	if parent := tracecontext.Parse(r.Header.Get(tracecontext.Header)); parent != "" {
		return tracecontext.TraceID(parent)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}
