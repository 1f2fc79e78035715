package httpserver

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
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

// Within gives ctx the time of one of the operations. [Handle] does so; an operation that takes
// longer, since it waits for something, bounds each of its steps by that of the operations that do
// not.
func (ops Operations) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(ops.Timeout, RequestTimeout))
}

// Handle adds an operation. Its query must hold no parameter that is not declared (a misspelt
// filter would choose everything), its body at most [MaxBodyBytes]; do has the time of the
// operations, which begins once the request is read; an error is answered by [Operations.Problem].
// A GET whose output has an ETag answers 304 to clients that have it already. The answers that all
// operations may give are added to the document.
func Handle[I, O any](ops Operations, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	op.Errors = answersOf(op)
	op.MaxBodyBytes = cmp.Or(op.MaxBodyBytes, MaxBodyBytes+1) // huma refuses a body of just this size
	op.RejectUnknownQueryParameters = true
	what := failed{op.OperationID, adviceFor[I](op.Method)}
	do = whereMatched(ops, what, do)
	known := notModified[O](op)
	if known != nil {
		ifNoneMatch(&op)
	}
	huma.Register(ops.API, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := ops.Within(ctx)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			return nil, ops.problem(ctx, what, err)
		}
		if known != nil {
			if err := known(ctx, out); err != nil {
				return nil, err
			}
		}
		return headOnly(ctx, out), nil
	})
}

// HandleJob is [Handle] for an operation that answers 200 where it only looked, and 202 with the
// same body where it made a job of it: the document has both.
func HandleJob[I, O any](ops Operations, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	op.DefaultStatus = http.StatusOK
	Handle(ops, op, do)
	DocumentAlso(ops.API, op, http.StatusAccepted, "A job does it")
}

// DocumentAlso documents another status with which an operation succeeds, whose answer is that of
// its default one: huma knows of one success.
func DocumentAlso(api huma.API, op huma.Operation, status int, description string) {
	responses := operationOf(api.OpenAPI().Paths[op.Path], op.Method).Responses
	other := *responses[strconv.Itoa(cmp.Or(op.DefaultStatus, http.StatusOK))]
	other.Description = description
	responses[strconv.Itoa(status)] = &other
}

// answersOf are the errors of an operation, with those that every operation may answer. The list is
// one of its own: huma appends to it, and an operation may be shared by every API of the process.
func answersOf(op huma.Operation) []int {
	errs := slices.Concat(op.Errors, []int{
		http.StatusBadRequest, http.StatusNotAcceptable, http.StatusMisdirectedRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
	})
	if op.Method != http.MethodGet {
		errs = append(errs, http.StatusForbidden) // a page of another origin
		if op.Method != http.MethodDelete {
			errs = append(errs, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		}
	}
	slices.Sort(errs)
	return slices.Compact(errs)
}

// headOnly has a stream end at once where the request is a HEAD: its body would go on where nobody
// gets it.
func headOnly[O any](ctx context.Context, out *O) *O {
	stream, ok := any(out).(*huma.StreamResponse)
	if o := occurrenceOf(ctx); !ok || stream == nil || o == nil || o.request.Method != http.MethodHead {
		return out
	}
	body := stream.Body
	stream.Body = func(ctx huma.Context) {
		over, cancel := context.WithCancel(ctx.Context())
		cancel()
		body(huma.WithContext(ctx, over))
	}
	return out
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
