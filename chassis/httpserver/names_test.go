package httpserver

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestDuplicateName_IsFound(t *testing.T) {
	t.Parallel()
	for body, twice := range map[string]bool{
		`{}`: false, `[]`: false, `"a"`: false, `1`: false, `null`: false,
		`{"a":1,"b":2}`:                         false,
		`{"a":1,"a":2}`:                         true,
		`{"a":"a","b":"a"}`:                     false,
		`{"a":{"a":1},"b":{"a":1}}`:             false,
		`{"a":[{"b":1},{"b":1}],"c":"b"}`:       false,
		`{"a":[{"b":1,"b":1}]}`:                 true,
		`{"a":[1,2,"b"],"b":3}`:                 false,
		`{"a":[1,"x"],"a":3}`:                   true,
		`{"a":1,"\u0061":2}`:                    true,
		`{"a\"":1,"a":2}`:                       false,
		`{"a":",","b":":","c":"{\"a\":1}"}`:     false,
		`{"":1,"":2}`:                           true,
		` { "a" : { } , "b" : [ ] , "a" : 1 } `: true,
	} {
		require.True(t, json.Valid([]byte(body)), body)
		require.Equal(t, twice, duplicateName([]byte(body)) != nil, body)
	}
}

// Whatever is valid JSON is found to have a name twice exactly if encoding/json's own tokens do.
func FuzzDuplicateName(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `{"a\"":[{"b":"}"}],"\u0062":null}`, `[[{"x":{"x":1}}]]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) || !json.Valid(body) {
			t.Skip()
		}
		require.Equal(t, byTokens(t, body), duplicateName(body) != nil)
	})
}

// byTokens is the slow way.
func byTokens(t *testing.T, body []byte) bool {
	tokens := json.NewDecoder(bytes.NewReader(body))
	var value func() bool
	value = func() bool {
		token, err := tokens.Token()
		require.NoError(t, err)
		names, twice := map[any]bool{}, false
		switch token {
		case json.Delim('{'):
			for tokens.More() {
				name, err := tokens.Token()
				require.NoError(t, err)
				twice = twice || names[name]
				names[name] = true
				twice = value() || twice
			}
		case json.Delim('['):
			for tokens.More() {
				twice = value() || twice
			}
		default:
			return false
		}
		_, err = tokens.Token()
		require.NoError(t, err)
		return twice
	}
	return value()
}

func BenchmarkDuplicateName(b *testing.B) {
	body := []byte(`{"userId":"u1","sku":"burger","quantity":2,"note":"kafka test"}`)
	for b.Loop() {
		if err := duplicateName(body); err != nil {
			b.Fatal(err)
		}
	}
}
