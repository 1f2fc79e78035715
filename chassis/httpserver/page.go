package httpserver

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"waybill.example/chassis/plaintext"
)

// Limits of every list.
const (
	DefaultPage = 50
	MaxPage     = 500
)

// Page is which part of a list a client wants: embed it in the input of an operation that lists.
// The store is asked for Limit+1: one more than a page tells whether there is another.
type Page struct {
	Cursor string `query:"cursor" minLength:"1" maxLength:"1024" doc:"Where the page begins: the next of the page before it, with the same filters" example:"AAAAAAAAEmc"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many on a page"`
}

// Paged is the header of a page (RFC 8288): embed it in the output of an operation that lists, and
// set Link by [Next].
type Paged struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\"; absent on the last" example:"</v1/orders?cursor=AAAAAAAAEmc>; rel=\"next\""`
}

// Next is the Link header of a page whose next has this cursor: the request's own URL, with the
// cursor. It is "" for the last page, which has no cursor.
func Next(ctx context.Context, cursor string) Paged {
	o := occurrenceOf(ctx)
	if cursor == "" || o == nil {
		return Paged{}
	}
	query := o.request.URL.Query()
	query.Set("cursor", cursor)
	next := url.URL{Path: o.request.URL.Path, RawPath: o.request.URL.RawPath, RawQuery: query.Encode()}
	return Paged{Link: "<" + next.RequestURI() + `>; rel="next"`}
}

// EncodeCursor makes an opaque cursor of what identifies the last row of a page. No field may hold
// a NUL.
func EncodeCursor(fields ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(fields, "\x00")))
}

// DecodeCursor returns the n fields of a cursor that [EncodeCursor] made, each of them plain text;
// nil where there is no cursor. The error is the answer to send.
func DecodeCursor(cursor string, n int) ([]string, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || !isText(strings.ReplaceAll(string(raw), "\x00", "")) {
		return nil, InvalidCursor()
	}
	fields := strings.Split(string(raw), "\x00")
	if len(fields) != n || strings.ContainsFunc(strings.Join(fields, ""), plaintext.Control) {
		return nil, InvalidCursor()
	}
	return fields, nil
}
