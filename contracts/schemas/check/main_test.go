package main

import (
	"bytes"
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// What is committed is compatible with the baseline: the same as `make check-schemas`.
func TestContracts_AreCompatibleWithTheirBaseline(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	broken, err := run(&out, os.DirFS("../baseline"), os.DirFS(".."))
	require.NoError(t, err)
	require.False(t, broken, out.String())
}

func TestBreaks_NamesWhatOldMessagesWouldNotPass(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is, says string }{
		{`{"type":"object"}`, `{"type":"array"}`, `the message: type was "object" and is "array"`},
		{`{"required":["a"]}`, `{"required":["a","b"]}`, `"b" is required now`},
		{`{"properties":{"a":{"maxLength":9}}}`, `{"properties":{"a":{"maxLength":8}}}`, `a: maxLength was 9 and is 8`},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{"minimum":1}}}`, `a: minimum was absent and is 1`},
		{`{"properties":{"a":{"items":{"properties":{"b":{"const":1}}}}}}`, `{"properties":{"a":{"items":{"properties":{"b":{"const":2}}}}}}`, `a[].b: const was 1 and is 2`},
		{`{"enum":["a","b"]}`, `{"enum":["a"]}`, `"b" is not allowed any more`},
		{`{}`, `{"enum":["a"]}`, `only some values are allowed now`},
		{`{}`, `{"additionalProperties":false}`, `additionalProperties was absent and is false`},
		{`{"oneOf":[{}]}`, `{"oneOf":[{},{}]}`, `oneOf was`},
		{`{"items":true}`, `{"items":false}`, `changed from true to false`},
		// What old messages pass all the same.
		{`{"required":["a"],"maximum":1,"minLength":2,"enum":["a"],"format":"uuid"}`, `{"maximum":2,"minLength":1,"enum":["a","b"],"title":"T"}`, ""},
		{`{"properties":{"a":{"type":"string"}}}`, `{"properties":{"b":{"type":"string"}}}`, ""},
	} {
		var out bytes.Buffer
		broken, err := run(&out, fstest.MapFS{"T.json": {Data: []byte(c.was)}}, fstest.MapFS{"T.json": {Data: []byte(c.is)}})
		require.NoError(t, err)
		require.Equal(t, c.says != "", broken, "%s → %s: %s", c.was, c.is, out.String())
		require.Contains(t, out.String(), c.says)
	}
	var out bytes.Buffer
	broken, err := run(&out, fstest.MapFS{"T.json": {Data: []byte(`{}`)}}, fstest.MapFS{})
	require.NoError(t, err)
	require.True(t, broken)
	require.Contains(t, out.String(), "the schema is gone")
	_, err = run(&out, fstest.MapFS{}, fstest.MapFS{})
	require.Error(t, err)
}
