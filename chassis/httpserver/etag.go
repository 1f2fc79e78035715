package httpserver

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// ETag makes an entity tag of what is different after each change, such as a revision.
func ETag(version string) string { return strconv.Quote(version) }

// IfMatch is the precondition of a change: embed it in the input of an operation that changes what
// has an ETag. The change compares [IfMatch.Seen] in its own transaction, and answers with a
// problem.Changed (412) if it is another.
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"128" doc:"The ETag of what was looked at: 412 if it has changed since, and nothing is done" example:"\"3\""`
}

// Seen is the version (without quotes) that the client looked at; "" if it asks for none, or only
// that there is one ("*").
func (m *IfMatch) Seen() string {
	if m.IfMatch == "*" {
		return ""
	}
	return strings.Trim(m.IfMatch, `"`)
}

// Revision is what the client looked at, where revisions from 1 are the ETags: 0 if it asks for
// none, and -1, which nothing has, for the tag of something else.
func (m *IfMatch) Revision() int {
	seen := m.Seen()
	if seen == "" {
		return 0
	}
	if n, err := strconv.ParseUint(seen, 10, 31); err == nil && n > 0 {
		return int(n)
	}
	return -1
}

// Resolve refuses a header that protects nothing although its client believes so: an empty one,
// two, a list, a weak tag, or one without quotes.
func (*IfMatch) Resolve(ctx huma.Context) []error {
	request, _ := humachi.Unwrap(ctx)
	sent := request.Header["If-Match"]
	if len(sent) == 0 || len(sent) == 1 && (sent[0] == "*" || isTag(sent[0])) {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.If-Match", Message: "expected one ETag, in its quotes and as the service sent it"}}
}

func isTag(s string) bool {
	return len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' && !strings.ContainsAny(s[1:len(s)-1], `",`)
}

// notModified returns what answers 304 where a client has already what it asks for: an operation
// that reads, and answers with an ETag. nil if it is another operation.
func notModified[O any](op huma.Operation) func(context.Context, *O) error {
	field, has := reflect.TypeFor[O]().FieldByName("ETag")
	if op.Method != http.MethodGet || !has || field.Tag.Get("header") == "" {
		return nil
	}
	return func(ctx context.Context, out *O) error {
		o := occurrenceOf(ctx)
		if o == nil {
			return nil
		}
		tag := reflect.ValueOf(out).Elem().FieldByIndex(field.Index).String()
		if tag == "" {
			return nil // this answer has none, and a client without one knows nothing
		}
		for known := range strings.SplitSeq(o.request.Header.Get("If-None-Match"), ",") {
			if known = strings.TrimSpace(known); known == "*" || strings.TrimPrefix(known, "W/") == tag {
				return huma.ErrorWithHeaders(huma.Status304NotModified(), http.Header{"ETag": {tag}})
			}
		}
		return nil
	}
}

// ifNoneMatch documents the header that [notModified] reads.
func ifNoneMatch(op *huma.Operation) {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "If-None-Match", In: "header", Description: "The ETag of what the client has: 304, without a body, if it is still that",
		Schema: &huma.Schema{Type: huma.TypeString},
	})
	responses := map[string]*huma.Response{"304": {Description: "The client has it already"}}
	maps.Copy(responses, op.Responses)
	op.Responses = responses
}
