package httpserver

import (
	"encoding/json"
	"net/http"

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

// Unavailable is the answer while something that the request needs is away: 503 with Retry-After.
func Unavailable(detail string) error {
	return huma.ErrorWithHeaders(
		huma.Error503ServiceUnavailable(detail),
		http.Header{"Retry-After": []string{RetryAfter}},
	)
}
