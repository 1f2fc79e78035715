package publish

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/plaintext"
	"waybill.example/outbox-relay/internal/source"
)

// The headers of a row are an object of strings and become those headers of the message, or the row
// is refused for good; the attributes of CloudEvents stay the relay's.
func FuzzEncode_SendsThePairsOrRefusesTheRow(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`, `{"a": "b", "c": "d"}`, `{"a":"b"}`, `{"a": 1}`, `{"a": null}`,
		`null`, `[]`, `"a"`, `{"content-type": "text/plain", "ce_id": "forged"}`, `{"a": "x\"y", "b\\": "\u00fc"}`, `{"": ""}`, `{"a": "}, \"b\": \"c"}`, `{"a": {"b": "c"}}`,
	} {
		f.Add([]byte(seed))
	}
	e := newEncoder("orders") // its memory is used again, as for the rows of a batch
	f.Fuzz(func(t *testing.T, object []byte) {
		if !json.Valid(object) || !utf8.Valid(object) || plaintext.LoneSurrogate(object) {
			return // no jsonb
		}
		headers, err := e.encode(&source.Row{Headers: object, Type: "OrderCreated"})
		var decoded map[string]any
		want, strings := map[string]string{}, json.Unmarshal(object, &decoded) == nil && decoded != nil
		for name, value := range decoded {
			text, is := value.(string)
			want[name], strings = text, strings && is
		}
		if repeats(object) {
			return // jsonb keeps one of them
		}
		if !strings && len(object) > len("{}") {
			var refusal *PermanentError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, "BAD_HEADERS", refusal.Code)
			return
		}
		require.NoError(t, err)
		require.Equal(t, []string{"1.0", "/waybill/orders", "OrderCreated"}, []string{string(headers[0].Value), string(headers[2].Value), string(headers[3].Value)})
		if contentType, has := want[headerContentType]; has {
			require.Equal(t, contentType, string(headers[5].Value))
		}
		for _, own := range []string{headerSpecVersion, headerID, headerSource, headerType, headerTime, headerContentType} {
			delete(want, own)
		}
		require.Empty(t, cmp.Diff(want, extras(headers)))
	})
}

// repeats reports whether an object has a name twice, at its top.
func repeats(object []byte) bool {
	decoder, names, depth, key := json.NewDecoder(bytes.NewReader(object)), map[string]bool{}, 0, false
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			key = depth == 1
			continue
		case string:
			if depth == 1 && key {
				if names[v] {
					return true
				}
				names[v], key = true, false
				continue
			}
		}
		if depth == 1 {
			key = true
		}
	}
}
