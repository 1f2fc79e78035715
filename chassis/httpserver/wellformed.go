package httpserver

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"waybill.example/chassis/problem"
	"waybill.example/sdk/tracecontext"
)

// wellFormed refuses what no operation could read in one way only: a query that is not one, text
// that is not UTF-8 or has a NUL, an If-Match that is none (400), a parameter that is empty or
// repeated (422). huma takes an empty parameter for none, and ?userId= would list everybody's
// orders.
func wellFormed(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		request, _ := humachi.Unwrap(ctx)
		if fault := malformed(request, ctx.Operation()); fault != nil {
			_ = huma.WriteErr(api, ctx, http.StatusBadRequest, fault.Message, fault) // fails only where the client is gone
			return
		}
		if faults := ambiguous(request.URL.RawQuery, ctx.Operation()); len(faults) > 0 {
			_ = huma.WriteErr(api, ctx, http.StatusUnprocessableEntity, validationFailed, faults...)
			return
		}
		next(ctx)
	}
}

// malformed finds what is no text.
func malformed(r *http.Request, op *huma.Operation) *huma.ErrorDetail {
	if !isText(r.URL.Path) {
		return &huma.ErrorDetail{Location: "path", Message: "the path is not text in UTF-8"}
	}
	if r.URL.RawQuery != "" {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return &huma.ErrorDetail{Location: "query", Message: "the query is not well-formed"}
		}
		for name, all := range values {
			for _, v := range append(all, name) {
				if !isText(v) {
					return &huma.ErrorDetail{Location: "query", Message: "the query is not text in UTF-8"}
				}
			}
		}
	}
	for _, p := range op.Parameters {
		// A malformed traceparent is ignored, and no fault of the request (W3C Trace Context, 3.2).
		if p.In == "header" && p.Name != tracecontext.Header && !isText(r.Header.Get(p.Name)) {
			return &huma.ErrorDetail{Location: "header." + p.Name, Message: "the header is not text in UTF-8"}
		}
		if p.In == "header" && p.Schema != nil && len(p.Schema.Enum) > 0 && emptyHeader(r, p.Name) {
			return &huma.ErrorDetail{Location: "header." + p.Name, Message: "expected a value; leave the header out if there is none"}
		}
		if p.In == "header" && p.Name == "If-Match" {
			if fault := malformedIfMatch(r); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// emptyHeader reports whether a header was sent without a value. Where only some values mean
// anything, its sender believes in a condition that nobody would hold.
func emptyHeader(r *http.Request, name string) bool {
	values := r.Header.Values(name)
	return values != nil && strings.TrimSpace(strings.Join(values, "")) == ""
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// ambiguous finds parameters of a query that say nothing, or more than one thing.
func ambiguous(query string, op *huma.Operation) (faults []error) {
	if query == "" {
		return nil
	}
	values, _ := url.ParseQuery(query) // malformed has looked
	for _, p := range op.Parameters {
		given := values[p.Name]
		if p.In != "query" || given == nil {
			continue
		}
		if slices.Contains(given, "") {
			faults = append(faults, &huma.ErrorDetail{Location: "query." + p.Name, Message: "expected a value; leave the parameter out if there is none"})
		}
		if several := p.Schema != nil && p.Schema.Type == huma.TypeArray; !several && len(given) > 1 {
			faults = append(faults, &huma.ErrorDetail{Location: "query." + p.Name, Message: "expected one value"})
		}
		if number := p.Schema != nil && p.Schema.Type == huma.TypeNumber; number && slices.ContainsFunc(given, notFinite) {
			faults = append(faults, &huma.ErrorDetail{Location: "query." + p.Name, Message: "expected a number"})
		}
	}
	return faults
}

// notFinite reports whether text is a number to strconv that has no bounds: NaN passes every
// minimum and maximum.
func notFinite(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && (math.IsNaN(f) || math.IsInf(f, 0))
}

// acceptable refuses a client that accepts nothing of what the operation answers with (406), before
// anything is done.
func acceptable(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		request, _ := humachi.Unwrap(ctx)
		accept := strings.Join(request.Header.Values("Accept"), ",")
		if accept == "" || accept == "*/*" || accepts(accept, ctx.Operation()) {
			next(ctx)
			return
		}
		_ = huma.WriteErr(api, ctx, problem.NotAcceptable.Status, "the answer is "+strings.Join(produced(ctx.Operation()), " or "))
	}
}

// accepts reports whether a client takes one of the media types of an operation (RFC 9110,
// section 12.5.1). The most specific range decides about a type; of its weight only 0 matters.
func accepts(accept string, op *huma.Operation) bool {
	for _, mediaType := range produced(op) {
		main, _, _ := strings.Cut(mediaType, "/")
		best, taken := 0, false
		for item := range strings.SplitSeq(accept, ",") {
			of, params, _ := strings.Cut(item, ";")
			rank := 0
			switch strings.ToLower(strings.TrimSpace(of)) {
			case mediaType:
				rank = 3
			case main + "/*":
				rank = 2
			case "*/*":
				rank = 1
			}
			if rank > best {
				best, taken = rank, !refused(params)
			}
		}
		if taken {
			return true
		}
	}
	return false
}

// refused reports whether parameters have the weight 0.
func refused(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			return strings.Trim(value, "0.") == "" && strings.HasPrefix(value, "0")
		}
	}
	return false
}

// produced are the media types of an operation's successes.
func produced(op *huma.Operation) (mediaTypes []string) {
	for status, response := range op.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		for mediaType := range response.Content {
			mediaTypes = append(mediaTypes, mediaType)
		}
	}
	slices.Sort(mediaTypes)
	if mediaTypes == nil {
		return []string{mediaTypeJSON} // errors, of an operation that has no body to send
	}
	return mediaTypes
}
