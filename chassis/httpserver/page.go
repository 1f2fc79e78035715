package httpserver

import (
	"context"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
)

// Limits of every list.
const (
	DefaultPage = 50
	MaxPage     = 500
)

// Page is which part of a list a client wants: embed it in the input of an operation that lists,
// ask the store for [Page.Fetch] rows, and answer with what [Cut] makes of them.
type Page struct {
	Cursor string `query:"cursor" minLength:"1" maxLength:"1024" doc:"Where the page begins: the next of the page before it, with the same filters" example:"NDcxMQ"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many on a page"`
}

// Fetch is how many rows the store is asked for: one more than a page has tells whether there is
// another page.
func (p Page) Fetch() int { return p.Limit + 1 }

// Cut makes a page of the rows that the store returned when it was asked for [Page.Fetch] of them.
// The page is never nil. If there are more rows than it holds, next is the cursor of its last one,
// and link the header that says so; else both are empty.
func Cut[T any](ctx context.Context, p Page, rows []T, cursor func(last T) string) (page []T, next string, link Paged) {
	if len(rows) <= p.Limit {
		return append([]T{}, rows...), "", Paged{}
	}
	page = rows[:p.Limit]
	next = cursor(page[p.Limit-1])
	return page, next, Next(ctx, next)
}

// After is the id of the last row of the page before, of a list whose cursors are made by
// [CursorOf]; 0 for the first page. The error is the answer to send.
func (p Page) After() (int64, error) {
	fields, err := DecodeCursor(p.Cursor, 1)
	if fields == nil {
		return 0, err
	}
	id, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || id < 1 || strconv.FormatInt(id, 10) != fields[0] {
		return 0, InvalidCursor()
	}
	return id, nil
}

// CursorOf is the cursor of the page after the row with this id.
func CursorOf(id int64) string { return EncodeCursor(strconv.FormatInt(id, 10)) }

// Paged is the header of a page (RFC 8288): embed it in the output of an operation that lists, and
// take it from [Cut], or from [Next]
// where the store finds the cursor.
type Paged struct {
	Link string `header:"Link" doc:"The next page, as rel=\"next\"; absent on the last" example:"</v1/orders?cursor=NDcxMQ>; rel=\"next\""`
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

// DecodeCursor returns the n fields of a cursor that [EncodeCursor] made, nil where there is no
// cursor. They are UTF-8 without a NUL, and otherwise what the rows hold: an id or a key may have
// other control characters. The error is the answer to send.
func DecodeCursor(cursor string, n int) ([]string, error) {
	if cursor == "" {
		return nil, nil
	}
	// The decoder passes over line breaks, which no cursor has.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || strings.ContainsAny(cursor, "\r\n") || !isText(strings.ReplaceAll(string(raw), "\x00", "")) {
		return nil, InvalidCursor()
	}
	fields := strings.Split(string(raw), "\x00")
	if len(fields) != n {
		return nil, InvalidCursor()
	}
	return fields, nil
}
