package tracing

import (
	"context"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"waybill.example/sdk/tracecontext"
)

// Calls is the option of a gRPC server that makes a span of each call that is recorded, below the
// client's.
func Calls() grpc.ServerOption {
	if !Enabled() {
		return grpc.EmptyServerOption{}
	}
	return grpc.StatsHandler(newCalls())
}

// calls keeps what is not recorded from the handler that makes spans.
type calls struct{ stats.Handler }

func newCalls() calls { return calls{otelgrpc.NewServerHandler(otelgrpc.WithPropagators(propagator))} }

// TagRPC implements [stats.Handler].
func (c calls) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	s := current.Load()
	if s == nil {
		return ctx
	}
	parent := ""
	if sent := metadata.ValueFromIncomingContext(ctx, tracecontext.Header); len(sent) > 0 {
		parent = sent[0]
	}
	begins, recorded := s.entry(parent)
	if !recorded {
		return ctx
	}
	return c.Handler.TagRPC(beginning(ctx, begins), info)
}

// HandleRPC implements [stats.Handler].
func (c calls) HandleRPC(ctx context.Context, about stats.RPCStats) {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		c.Handler.HandleRPC(ctx, about)
	}
}
