package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer that is an error (RFC 9457).
type Problem struct {
	Type     string    `json:"type"` // a URI that names the kind of problem; may be empty
	Title    string    `json:"title"`
	Status   int       `json:"status"`             // of HTTP
	Detail   string    `json:"detail,omitempty"`   // what the client can do about it
	Instance string    `json:"instance,omitempty"` // the path of the request
	TraceID  string    `json:"traceId,omitempty"`  // by which the service's log has it; may be empty
	Errors   []Invalid `json:"errors,omitempty"`
	// RetryAfter is how long the server asks to wait before the request is sent again.
	RetryAfter time.Duration `json:"-"`
}

// Invalid is a part of a request that is not as it must be.
type Invalid struct {
	Location string `json:"location,omitempty"` // such as body.quantity
	Message  string `json:"message,omitempty"`
	Value    any    `json:"value,omitempty"` // what was sent, where it is short
}

// Error says everything that the server said.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, cmp.Or(p.Title, http.StatusText(p.Status)))
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for i, e := range p.Errors {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		b.WriteString(separator + strings.TrimSpace(e.Location+" "+e.Message))
	}
	return b.String()
}

// passing reports whether the same request may succeed later.
func (p *Problem) passing() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// maxForeign is how much of an answer that is no problem+json is shown, in bytes.
const maxForeign = 200

// problemOf reads an answer that is an error, be it the service's or that of a proxy before it.
func problemOf(response *http.Response, body []byte) *Problem {
	p := &Problem{}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if mediaType != "application/problem+json" || json.Unmarshal(body, p) != nil {
		*p = Problem{Detail: strings.ToValidUTF8(string(body[:min(len(body), maxForeign)]), "")}
	}
	p.Status = response.StatusCode
	p.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	return p
}

// retryAfter reads both forms of the header: seconds, and a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
