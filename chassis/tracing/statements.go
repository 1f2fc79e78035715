package tracing

import (
	"context"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
)

// Statements returns a tracer for connections to Postgres that makes a span of each statement and
// each pipelined batch of them which belongs to a span. What a service asks by itself, such as for
// deadlines, belongs to none. Parameters are not recorded.
func Statements() pgx.QueryTracer {
	return statements{otelpgx.NewTracer()}
}

type statements struct{ pgx *otelpgx.Tracer }

func below(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

// TraceQueryStart implements [pgx.QueryTracer].
func (s statements) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !below(ctx) {
		return ctx
	}
	return s.pgx.TraceQueryStart(ctx, conn, data)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (s statements) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if below(ctx) {
		s.pgx.TraceQueryEnd(ctx, conn, data)
	}
}

// TraceBatchStart implements [pgx.BatchTracer].
func (s statements) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !below(ctx) {
		return ctx
	}
	return s.pgx.TraceBatchStart(ctx, conn, data)
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (s statements) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	if below(ctx) {
		s.pgx.TraceBatchQuery(ctx, conn, data)
	}
}

// TraceBatchEnd implements [pgx.BatchTracer].
func (s statements) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	if below(ctx) {
		s.pgx.TraceBatchEnd(ctx, conn, data)
	}
}
