package httpserver

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/plaintext"
)

// A cursor is read as what it was made of, and whatever else a client sends is refused.
func FuzzDecodeCursor_IsTheReverseOrRefuses(f *testing.F) {
	for _, seed := range []string{"", "AAAAAAAAEmc", "YQBi", "YQ", "====", "\xff", "YQBiAGM", "7Y-A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		fields, err := DecodeCursor(cursor, 2)
		if err != nil {
			require.Equal(t, 422, err.(huma.StatusError).GetStatus()) //nolint:errorlint // it is one
			return
		}
		if cursor == "" {
			require.Nil(t, fields)
			return
		}
		require.Len(t, fields, 2)
		require.Equal(t, cursor, EncodeCursor(fields...))
		require.True(t, utf8.ValidString(fields[0]+fields[1]))
	})
}

// The cursor of an id is what a page gave out, and whatever else a client sends is refused.
func FuzzPage_AfterIsAnIDOrRefuses(f *testing.F) {
	for _, seed := range []string{"", "NDcxMQ", "MA", "LTE", "x", "NDcxMQA", "OTIyMzM3MjAzNjg1NDc3NTgwOA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last, err := Page{Cursor: text}.After()
		if err != nil || text == "" {
			require.Zero(t, last)
			return
		}
		require.Positive(t, last)
		require.Equal(t, text, CursorOf(last))
	})
}

// What Accept says never panics, and JSON is what everybody gets who takes anything.
func FuzzAccepts_NeverPanics(f *testing.F) {
	for _, seed := range []string{"*/*", "application/json;q=0", "text/html, */*;q=0.1", ";;,,", "application/*;q=0.0", "*/*;q=", "a/b/c;q=0=0"} {
		f.Add(seed)
	}
	op := &huma.Operation{Responses: map[string]*huma.Response{"200": {Content: map[string]*huma.MediaType{mediaTypeJSON: {}}}}}
	f.Fuzz(func(t *testing.T, accept string) {
		accepts(accept, op)
		require.True(t, accepts(strings.ReplaceAll(accept, ",", " ")+",application/json", op) || strings.Contains(accept, "json"))
	})
}

// A query that is let through says one thing for each parameter.
func FuzzWellFormed_LetsThroughWhatSaysOneThing(f *testing.F) {
	for _, seed := range []string{"a=1", "a=", "a=1&a=2", "%zz", "a;b", "a=%00", "a=%ff", "=1", "a=%ED%A0%80"} {
		f.Add(seed)
	}
	op := &huma.Operation{Parameters: []*huma.Param{{Name: "a", In: "query", Schema: &huma.Schema{Type: huma.TypeString}}}}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		if malformed(r, op) != nil || len(ambiguous(query, op)) > 0 {
			return
		}
		values := r.URL.Query()["a"]
		require.LessOrEqual(t, len(values), 1)
		for _, v := range values {
			require.NotEmpty(t, v)
			require.True(t, utf8.ValidString(v))
			require.NotContains(t, v, "\x00")
		}
	})
}

// A body that is let through holds the text that it says: no NUL, and nothing that was replaced.
func FuzzStrictJSON_ReadsTextOrRefuses(f *testing.F) {
	for _, seed := range []string{`"a"`, `"\u0000"`, `"\\u0000"`, `"\ud800"`, `"\ud83d\ude00"`, "\"\xff\"", `{"a":1,"a":2}`, `"\ufffd"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var value any
		if strictJSON.Unmarshal(body, &value) != nil {
			return
		}
		require.True(t, utf8.Valid(body))
		require.False(t, plaintext.LoneSurrogate(body))
		if text, ok := value.(string); ok {
			require.NotContains(t, text, "\x00")
			again, err := json.Marshal(text)
			require.NoError(t, err)
			require.True(t, json.Valid(again))
		}
	})
}

// A list of tags is read as what is written again as the same list.
func FuzzParseEntityTags_ReadsWhatItWrites(f *testing.F) {
	for _, seed := range []string{`"3"`, `*`, `W/"3"`, `"3", "4"`, `"a,b" , W/""`, `""`, `"`, `3`, `"3""4"`, `"3";"4"`, ",,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		tags, ok := parseEntityTags(field)
		require.Equal(t, ok, len(tags) > 0)
		var again []string
		for _, tag := range tags {
			require.NotContains(t, tag.opaque, `"`)
			written := ETag(tag.opaque)
			if tag.weak {
				written = "W/" + written
			}
			again = append(again, written)
		}
		reread, _ := parseEntityTags(strings.Join(again, ", "))
		require.Equal(t, tags, reread)
	})
}
