package httpserver

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Operations is an API to which [Handle] adds operations that are alike: the same limits, the same
// time to answer, and errors answered in one way.
type Operations struct {
	API huma.API
	Log *slog.Logger
	// Answers are those to the errors of the service's own domain; see [Operations.Problem].
	Answers []Answer
	// Timeout is what a handler has to answer; [RequestTimeout] if it is 0.
	Timeout time.Duration
}

// Handle adds an operation. Its query must hold no parameter that is not declared (a misspelt
// filter would choose everything), its body at most [MaxBodyBytes]; do has the time of the
// operations, which begins once the request is read; an error is answered by [Operations.Problem].
// The answers that all operations may give are added to the document.
func Handle[I, O any](ops Operations, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	// A list of its own: huma appends to it, and an operation may be shared by every API of the
	// process.
	op.Errors = slices.Concat(op.Errors, []int{http.StatusServiceUnavailable})
	if op.Method != http.MethodGet && op.Method != http.MethodDelete {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	op.MaxBodyBytes = cmp.Or(op.MaxBodyBytes, MaxBodyBytes+1) // huma refuses a body of just this size
	op.RejectUnknownQueryParameters = true
	what := failed{op.OperationID, adviceFor[I](op.Method)}
	timeout := cmp.Or(ops.Timeout, RequestTimeout)
	huma.Register(ops.API, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			return nil, ops.problem(ctx, what, err)
		}
		return out, nil
	})
}

// What to do about a 503. That a change has failed says nothing about its transaction: the answer
// to its commit can be lost.
const (
	tryAgain  = "the database does not answer; try again"
	sendAgain = "the database does not answer, and the request may have been carried out or not: send it again with the same Idempotency-Key"
	lookAgain = "the database does not answer, and the request may have been carried out or not: look before you send it again"
)

func adviceFor[I any](method string) string {
	_, keyed := any((*I)(nil)).(interface{ keyed() })
	switch {
	case method == http.MethodGet:
		return tryAgain
	case keyed:
		return sendAgain
	}
	return lookAgain
}
