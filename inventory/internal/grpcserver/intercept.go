package grpcserver

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"waybill.example/chassis/logs"
	"waybill.example/sdk/tracecontext"
)

// recovered turns a panic into INTERNAL that tells the client nothing, and the log everything.
func recovered(log *slog.Logger) recovery.Option {
	return recovery.WithRecoveryHandlerContext(func(ctx context.Context, cause any) error {
		method, _ := grpc.Method(ctx)
		log.ErrorContext(ctx, "handler panicked", "method", method, "cause", cause, "stack", string(debug.Stack()))
		return status.Error(codes.Internal, "something went wrong here; it has been logged")
	})
}

func recoveredCall(log *slog.Logger) grpc.UnaryServerInterceptor {
	return recovery.UnaryServerInterceptor(recovered(log))
}

func recoveredStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return recovery.StreamServerInterceptor(recovered(log))
}

// call is what a context is about: a client's call that is part of a trace.
type call struct{ traceID string }

// LogAttrs implements [logs.Subject].
func (c call) LogAttrs() []slog.Attr { return []slog.Attr{slog.String(logs.TraceKey, c.traceID)} }

// tracedCall has the log name the trace that the client is in, if it said which.
func tracedCall(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if parent := metadata.ValueFromIncomingContext(ctx, tracecontext.Header); len(parent) == 1 {
		ctx = context.WithValue(ctx, logs.SubjectKey{}, call{tracecontext.TraceID(parent[0])})
	}
	return handle(ctx, request)
}

var errStopping = errors.New("the server is stopping")

// endsOnStop ends the context of a stream when the server begins to stop, and has the client of
// such a stream try again elsewhere.
func (s *Server) endsOnStop(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-s.stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	err := handle(service, withContext{stream, ctx})
	if errors.Is(context.Cause(ctx), errStopping) {
		return status.Error(codes.Unavailable, errStopping.Error())
	}
	return err
}

// withContext is a stream with a context of its own.
type withContext struct {
	grpc.ServerStream

	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s withContext) Context() context.Context { return s.ctx }
