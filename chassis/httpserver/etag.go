package httpserver

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/problem"
)

// ETag makes an entity tag of what is different after each change, such as a revision: printable
// ASCII without a quote.
func ETag(version string) string { return `"` + version + `"` }

// IfMatch is the precondition of a change: embed it in the input of an operation that changes what
// has an ETag. The change compares [IfMatch.Seen] in its own transaction, and answers with a
// problem.Changed (412) if it is another; then it must have done nothing, since [Handle] calls it
// for each tag of a list until one is current.
type IfMatch struct {
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"The ETag of what was looked at, in its quotes; * for any, a list for one of several. 412 if it has changed since, and nothing is done; weak tags are never current" example:"\"3\""`
}

func (m *IfMatch) condition() *IfMatch { return m }

// Any reports whether the client asks only that there is something ("*").
func (m *IfMatch) Any() bool { return m.IfMatch == "*" }

// Seen is the version (without quotes) that the client looked at; "" if it asks for none, or only
// that there is one ("*").
func (m *IfMatch) Seen() string {
	if tags, ok := parseEntityTags(m.IfMatch); ok && len(tags) == 1 {
		return tags[0].opaque
	}
	return ""
}

// Revision is what the client looked at, where revisions from 1 are the ETags: 0 if it asks for
// none, and -1, which nothing has, for the tag of something else.
func (m *IfMatch) Revision() int {
	seen := m.Seen()
	if seen == "" {
		return 0
	}
	if n, err := strconv.ParseUint(seen, 10, 31); err == nil && n > 0 && strconv.FormatUint(n, 10) == seen {
		return int(n)
	}
	return -1
}

// whereMatched has a change with an [IfMatch] made for the tag that is current. It is do itself for
// an operation without one.
func whereMatched[I, O any](ops Operations, what failed, do func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	if _, has := any((*I)(nil)).(interface{ condition() *IfMatch }); !has {
		return do
	}
	return func(ctx context.Context, in *I) (out *O, err error) {
		m := any(in).(interface{ condition() *IfMatch }).condition()
		if m.IfMatch == "" || m.Any() {
			return do(ctx, in)
		}
		tags, _ := parseEntityTags(m.IfMatch) // wellFormed has looked
		err = NewProblem(problem.Changed, "none of the entity tags can be current: they are weak, or empty")
		for _, tag := range tags {
			if tag.weak || tag.opaque == "" {
				continue // not equal to anything in a strong comparison, and of nothing that we have
			}
			m.IfMatch = ETag(tag.opaque)
			out, err = do(ctx, in)
			if err == nil {
				return out, nil
			}
			err = ops.problem(ctx, what, err)
			if status, ok := errors.AsType[huma.StatusError](err); !ok || status.GetStatus() != problem.Changed.Status {
				return nil, err
			}
		}
		return nil, err
	}
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
		field := strings.Join(o.request.Header.Values("If-None-Match"), ",")
		known, _ := parseEntityTags(field) // malformed: the client has nothing, and gets all of it
		if field == "*" || slices.ContainsFunc(known, func(t entityTag) bool { return ETag(t.opaque) == tag }) {
			return huma.ErrorWithHeaders(huma.Status304NotModified(), http.Header{"ETag": {tag}})
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
