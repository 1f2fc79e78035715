package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"waybill.example/chassis/httpserver"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/inventory/stock"
)

// errorDomain is the domain of every ErrorInfo.
const errorDomain = "inventory.waybill"

// The reasons of an ErrorInfo. Clients decide by them: they do not change.
const (
	reasonNotFound      = "SKU_NOT_FOUND"
	reasonOtherItems    = "ORDER_HAS_OTHER_ITEMS"
	reasonUnavailable   = "DATABASE_UNAVAILABLE"
	reasonTokenRequired = "TOKEN_REQUIRED"
	reasonRoleRequired  = "ROLE_REQUIRED"
	reasonTooManyTokens = "TOO_MANY_WRONG_TOKENS" //nolint:gosec // no credential

	reasonTokenUnchecked = "TOKEN_UNCHECKED"
)

// retryAfter is when a client may try again after UNAVAILABLE, as over HTTP.
const retryAfter = time.Second

var errOtherItems = refusal(codes.AlreadyExists, reasonOtherItems,
	"the order has asked for other items before, and its reservation is decided")

// Calls returns what runs around each call: it bounds its time by that of an HTTP request, and
// turns its error into a status.
func Calls(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		bounded, cancel := httpserver.Operations{}.Within(ctx)
		defer cancel()
		out, err := handle(bounded, in)
		if err != nil {
			return nil, toStatus(ctx, log, info.FullMethod, err)
		}
		return out, nil
	}
}

// Streams returns what runs around each stream: it turns its error into a status.
func Streams(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if err := handle(service, stream); err != nil {
			return toStatus(stream.Context(), log, info.FullMethod, err)
		}
		return nil
	}
}

// toStatus turns an error into a status: the one place where that is done. The client learns what
// it can do; what happened is for the log. ctx is the client's own, whose deadline decides between
// DEADLINE_EXCEEDED and UNAVAILABLE.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	if _, is := status.FromError(err); is {
		return err
	}
	switch {
	case expired(ctx):
		return status.Error(codes.DeadlineExceeded, "the deadline has passed; a change may have been made or not, and may be asked for again")
	case errors.Is(ctx.Err(), context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, stock.ErrNotFound):
		return refusal(codes.NotFound, reasonNotFound, "there is no such sku")
	case chassispg.Unavailable(err):
		log.WarnContext(ctx, "database is unavailable", "method", method, "error", err)
		return refusal(codes.Unavailable, reasonUnavailable,
			"the database does not answer; a change may have been made or not, and may be asked for again",
			&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	log.ErrorContext(ctx, "call failed", "method", method, "error", err)
	return status.Error(codes.Internal, "something went wrong here; it has been logged")
}

// expired reports whether the client's deadline has passed. The clock says so and not ctx.Err: the
// statement has the same deadline with a timer of its own, which may fire first.
func expired(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// invalid is the answer to a request of which one field breaks a rule.
func invalid(field, description string) error {
	return withDetails(status.New(codes.InvalidArgument, field+": "+description), &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: description}},
	})
}

// refusal is an answer with a reason that a client can act on.
func refusal(code codes.Code, reason, message string, details ...protoadapt.MessageV1) error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}
	return withDetails(status.New(code, message), append([]protoadapt.MessageV1{info}, details...)...)
}

func withDetails(s *status.Status, details ...protoadapt.MessageV1) error {
	detailed, err := s.WithDetails(details...)
	if err != nil { // a detail that cannot be encoded; the status itself can
		return s.Err()
	}
	return detailed.Err()
}
