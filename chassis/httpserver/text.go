package httpserver

import (
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/terminal"
)

// Text is what a person writes for other people, such as a reason: valid UTF-8 without control
// characters, also those of JSON's escapes, and without characters that change how the text around
// them reads. Nobody can write a line of another operator's into an audit trail with it.
type Text string

// Schema implements [huma.SchemaProvider]; a field's own tags, such as maxLength, add to it.
func (Text) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^[^\x00-\x1f\x7f-\x9f]*$`,
		PatternDescription: "free of control characters",
	}
}

// Resolve implements [huma.ResolverWithPath]: it finds what the pattern cannot say.
func (t Text) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	return PlainText(at, string(t))
}

// PlainText returns the problem of a field that holds more than plain text. What the pattern of
// [Text]'s schema finds is not reported twice.
func PlainText(at *huma.PathBuffer, text string) []error {
	if terminal.Plain(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: at.String(), Message: "expected plain text in UTF-8, without control or invisible characters"}}
}

// Reason is a [Text] that says something: what others read of a change, when they ask why.
type Reason string

// Schema implements [huma.SchemaProvider]; a field's own tags, such as maxLength, add to it.
func (Reason) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*$`,
		PatternDescription: "more than blanks, and free of control characters",
	}
}

// Resolve implements [huma.ResolverWithPath].
func (r Reason) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	if strings.TrimSpace(string(r)) == "" && strings.Trim(string(r), " \u00a0") != "" && !strings.ContainsFunc(string(r), unicode.IsControl) {
		return []error{&huma.ErrorDetail{Location: at.String(), Message: "expected more than blanks"}}
	}
	return PlainText(at, string(r))
}
