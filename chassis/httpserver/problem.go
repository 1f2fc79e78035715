package httpserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// RetryAfter is what a client is told to wait, in seconds, after a 503.
const RetryAfter = "1"

// WriteProblem writes an RFC 9457 problem, for handlers outside of huma.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// The status is sent; a client that hung up is all that can fail here.
	_ = json.NewEncoder(w).Encode(&huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}

// Unavailable is the answer while something that the request needs is unavailable: 503 with
// Retry-After.
func Unavailable(detail string) error {
	return huma.ErrorWithHeaders(
		huma.Error503ServiceUnavailable(detail),
		http.Header{"Retry-After": []string{RetryAfter}},
	)
}

// A client learns what is wrong with its request; it does not get the request back, however it
// was made.
const (
	maxErrors    = 100 // in one problem
	maxErrorText = 300 // bytes of one message or location
	maxEcho      = 100 // bytes of a value that is shown
)

// bounded is a huma transformer that keeps problems small: huma's own quote the whole body.
func bounded(_ huma.Context, _ string, body any) (any, error) {
	problem, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	if problem.Status >= http.StatusInternalServerError {
		problem.Errors = nil // what went wrong here is for the log
		return problem, nil
	}
	problem.Errors = problem.Errors[:min(len(problem.Errors), maxErrors)]
	for _, e := range problem.Errors {
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
	return problem, nil
}

// cut shortens text to at most so many bytes, and says that it did.
func cut(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + "…"
}

// Invalid is the answer to a request of which one part, such as query.cursor, breaks a rule that
// its schema cannot state: 422.
func Invalid(location, message string) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location, Message: message})
}
