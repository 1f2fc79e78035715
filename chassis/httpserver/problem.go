package httpserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/problem"
)

// RetryAfter is what a client is told to wait, in seconds, after a 503.
const RetryAfter = "1"

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type     string              `json:"type" format:"uri-reference" doc:"What kind of problem it is: a page of this service" example:"/problems/validation-failed"`
	Title    string              `json:"title" doc:"The same for every problem of the type" example:"The request breaks a rule of the API"`
	Status   int                 `json:"status" minimum:"400" maximum:"599" example:"422"`
	Detail   string              `json:"detail,omitempty" doc:"What is wrong this time" example:"validation failed"`
	Instance string              `json:"instance,omitempty" format:"uri-reference" doc:"The path of the request" example:"/v1/orders"`
	TraceID  string              `json:"traceId,omitempty" pattern:"^[0-9a-f]{32}$" doc:"That of the request's traceparent, or else one that was made up for this answer; the service's log has it" example:"4bf92f3577b34da6a3ce929d0e0e4736"`
	Errors   []*huma.ErrorDetail `json:"errors,omitempty" doc:"Each place where the request is invalid"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(of string) string {
	if p.Status < http.StatusBadRequest {
		return of // 304, which is an error to huma alone
	}
	return problemJSON
}

const problemJSON = "application/problem+json"

// NewProblem returns the error with which an operation answers a problem of a type. Faults are the
// places in the request, if there are any.
func NewProblem(t *problem.Type, detail string, faults ...*huma.ErrorDetail) error {
	return &Problem{Type: t.URI(), Title: t.Title, Status: t.Status, Detail: detail, Errors: faults}
}

// huma's own errors, such as those of its validation, and huma.Error404NotFound and the like become
// problems of the general type of their status.
func init() { huma.NewError = newError }

func newError(status int, detail string, errs ...error) huma.StatusError {
	if status != 0 && status < http.StatusBadRequest {
		return &Problem{Status: status}
	}
	faults := make([]*huma.ErrorDetail, 0, len(errs))
	for _, err := range errs {
		if typed, ok := errors.AsType[*Problem](err); ok {
			return typed // of a resolver, which knows better
		}
		if detailer, ok := err.(huma.ErrorDetailer); ok {
			faults = append(faults, detailer.ErrorDetail())
		} else if err != nil {
			faults = append(faults, &huma.ErrorDetail{Message: err.Error()})
		}
	}
	t := problem.OfStatus(status)
	if status == http.StatusUnprocessableEntity && onlyPath(faults) {
		t = problem.InvalidRequest // a URL that cannot exist
	}
	return &Problem{Type: t.URI(), Title: t.Title, Status: t.Status, Detail: detail, Errors: faults}
}

func onlyPath(faults []*huma.ErrorDetail) bool {
	for _, f := range faults {
		if !strings.HasPrefix(f.Location, "path.") {
			return false
		}
	}
	return len(faults) > 0
}

// WriteProblem writes a problem, for handlers and middleware outside of huma.
func WriteProblem(w http.ResponseWriter, r *http.Request, t *problem.Type, detail string) {
	w.Header().Set("Content-Type", problemJSON)
	w.WriteHeader(t.Status)
	p := &Problem{Type: t.URI(), Title: t.Title, Status: t.Status, Detail: detail}
	p.happened(&occurrence{request: r})
	_ = json.NewEncoder(w).Encode(p) // the status is sent; only a client that hung up fails here
}

// Unavailable is the answer while something that the request needs is unavailable: 503 with
// Retry-After.
func Unavailable(detail string) error {
	return huma.ErrorWithHeaders(
		NewProblem(problem.Unavailable, detail),
		http.Header{"Retry-After": []string{RetryAfter}},
	)
}

// Invalid is the answer to a request of which one part, such as query.olderThan, breaks a rule that
// its schema cannot state: 422.
func Invalid(location, message string) error {
	return NewProblem(problem.ValidationFailed, validationFailed, &huma.ErrorDetail{Location: location, Message: message})
}

// InvalidCursor is the answer to a cursor that no page of the list gave out: 422.
func InvalidCursor() error {
	return NewProblem(problem.InvalidCursor, "invalid cursor", &huma.ErrorDetail{Location: "query.cursor", Message: "invalid cursor"})
}

const validationFailed = "validation failed"

// A client learns what is wrong with its request; it does not get the request back, however it
// was made.
const (
	maxErrors    = 100 // in one problem
	maxErrorText = 300 // bytes of one message or location
	maxEcho      = 100 // bytes of a value that is shown
)

// completed is a huma transformer that says where a problem happened, and keeps it small: huma's
// own quote the whole body.
func completed(ctx huma.Context, _ string, body any) (any, error) {
	p, ok := body.(*Problem)
	if !ok {
		return body, nil
	}
	p.happened(occurrenceOf(ctx.Context()))
	if p.Status >= http.StatusInternalServerError {
		p.Errors = nil // what went wrong here is for the log
		return p, nil
	}
	p.Errors = p.Errors[:min(len(p.Errors), maxErrors)]
	for _, e := range p.Errors {
		e.Message, e.Location = cut(e.Message, maxErrorText), cut(e.Location, maxErrorText)
		switch value := e.Value.(type) {
		case string:
			if len(value) > maxEcho || e.Location == "body" {
				e.Value = nil
			}
		case bool, int64, float64:
		default:
			e.Value = nil // an object or an array: the body itself, when a field is missing
		}
	}
	return p, nil
}

// happened fills in what is special about one occurrence.
func (p *Problem) happened(o *occurrence) {
	if o != nil {
		p.Instance, p.TraceID = o.instance(), o.traceID()
	}
}

// cut shortens text to at most so many bytes, and says that it did.
func cut(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + "…"
}
