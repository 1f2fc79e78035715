package httpserver

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// entityTag is one of the tags of If-Match or If-None-Match (RFC 9110, section 8.8.3).
type entityTag struct {
	weak   bool
	opaque string // what is between the quotes
}

// listSpace is what may stand around the elements of a list: empty elements are passed over.
const listSpace = " \t,"

// parseEntityTags reads the tags of a field that is not "*": quoted, separated by commas, each of
// them perhaps weak. ok is false if it is no such list, or an empty one.
func parseEntityTags(field string) (tags []entityTag, ok bool) {
	for rest := strings.TrimLeft(field, listSpace); rest != ""; rest = strings.TrimLeft(rest, listSpace) {
		strong, weak := strings.CutPrefix(rest, "W/")
		opening, quoted := strings.CutPrefix(strong, `"`)
		opaque, after, closed := strings.Cut(opening, `"`)
		rest = strings.TrimLeft(after, " \t")
		if !quoted || !closed || strings.ContainsFunc(opaque, notOfTag) || rest != "" && rest[0] != ',' {
			return nil, false
		}
		tags = append(tags, entityTag{weak, opaque})
	}
	return tags, len(tags) > 0
}

// notOfTag reports whether no entity tag has the character.
func notOfTag(r rune) bool { return r <= ' ' || r == 0x7f }

// maxEntityTags bounds a list in If-Match: each may cost a transaction.
const maxEntityTags = 8

// malformedIfMatch finds an If-Match that protects nothing although its client believes so: an
// empty one, or a tag without quotes, which a lenient reader might take for another one. Several
// lines of the header are one list, and are made so.
func malformedIfMatch(r *http.Request) *huma.ErrorDetail {
	lines := r.Header.Values("If-Match")
	if lines == nil {
		return nil
	}
	field := strings.TrimSpace(strings.Join(lines, ", "))
	r.Header.Set("If-Match", field)
	tags, ok := parseEntityTags(field)
	switch {
	case field == "*":
		return nil
	case !ok:
		return &huma.ErrorDetail{Location: "header.If-Match", Message: `expected an ETag in its double quotes, as the service sent it, a list of them, or *`}
	case len(tags) > maxEntityTags:
		return &huma.ErrorDetail{Location: "header.If-Match", Message: "expected 8 ETags at most"}
	}
	return nil
}
