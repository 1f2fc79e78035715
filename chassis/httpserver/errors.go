package httpserver

import (
	"cmp"
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	chassispg "waybill.example/chassis/postgres"
	"waybill.example/chassis/problem"
)

// Answer is how an error of a service's own domain is answered.
type Answer struct {
	Err    error // compared by [errors.Is]
	Type   *problem.Type
	Status int    // in place of Type: its general type (problem.OfStatus)
	Detail string // what is wrong, and what the client can do; the error's own text if it is empty
	// Location, if not empty, is the part of the request that is invalid, such as
	// header.Idempotency-Key.
	Location string
}

// failed says which operation failed, and what a client can do about a 503.
type failed struct{ operation, advice string }

// Problem turns an error into an answer: the one place where that is done. The client learns what
// it can do; what happened is for the log.
//
//   - An error that is an answer already stays as it is.
//   - An error of the domain is answered as Answers say.
//   - The database is unavailable, or the request took too long: 503 with Retry-After, and a
//     warning.
//   - Anything else: 500, and an error in the log.
func (ops Operations) Problem(ctx context.Context, operation string, err error) error {
	return ops.problem(ctx, failed{operation, tryAgain}, err)
}

func (ops Operations) problem(ctx context.Context, what failed, err error) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok {
		return err // all of it: what is around the status has headers
	}
	for _, a := range ops.Answers {
		if errors.Is(err, a.Err) {
			return a.problem(err)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Unavailable("the request was cancelled") // by the client, who will not read this
	case chassispg.Unavailable(err):
		ops.Log.WarnContext(ctx, "database is unavailable", "operation", what.operation, "error", err)
		return Unavailable(what.advice)
	}
	ops.Log.ErrorContext(ctx, "request failed", "operation", what.operation, "error", err)
	return NewProblem(problem.Internal, "something went wrong here; it has been logged")
}

func (a Answer) problem(err error) error {
	detail := cmp.Or(a.Detail, err.Error())
	if a.Type == nil {
		a.Type = problem.OfStatus(a.Status)
	}
	if a.Location == "" {
		return NewProblem(a.Type, detail)
	}
	return NewProblem(a.Type, validationFailed, &huma.ErrorDetail{Location: a.Location, Message: detail})
}
