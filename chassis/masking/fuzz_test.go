package masking_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/theory/jsonpath"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
)

// Of any JSON and any path, what is shown has the placeholder at each place that the path selects,
// as another implementation of RFC 9535 sees it. An edit that changes nothing is what was there.
func FuzzMessage(f *testing.F) {
	for _, path := range []string{"$", "$.a", "$..a", "$..*", "$[*]", "$[-1]", "$[::-1]", "$.a[0:2].b", "$['a','b']", "$..a..b[0]"} {
		for _, payload := range []string{
			`{"a":"x","b":[1,2,{"a":{"b":[3]}}]}`, `[{"a":[{"b":1},{"b":2}]}, "***masked***"]`, `{"a":1,"a":2}`, `{"A":"\ud800"}`, "1e400", `"s"`, "{", "\xff",
		} {
			f.Add(path, []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, path string, payload []byte) {
		encoded, err := json.Marshal(path)
		require.NoError(t, err)
		rules, err := masking.Parse([]byte(`{"rules":[{"topic":"t","paths":[` + string(encoded) + `]}]}`))
		if err != nil {
			return
		}
		v := rules.Message(admin.Operator, "t", "T", payload)
		restored, err := v.Restore(v.Bytes())
		require.NoError(t, err)
		require.Equal(t, string(payload), string(restored))
		if !v.Hides() {
			require.Equal(t, string(payload), string(v.Bytes()))
		}
		var value, masked any
		if len(payload) == 0 || decode(payload, &value) != nil {
			require.True(t, v.Hides() || len(payload) == 0)
			return
		}
		require.NoError(t, decode(v.Bytes(), &masked))
		parsed, err := jsonpath.Parse(path)
		require.NoError(t, err)
		if len(parsed.Select(value)) > 0 {
			require.True(t, v.Hides(), "%s of %s", path, payload)
		}
		for _, found := range parsed.Select(masked) {
			require.True(t, coversAll(found), "%s of %s shows %v", path, payload, found)
		}
	})
}

func decode(text []byte, into *any) error {
	if !json.Valid(text) {
		return json.Unmarshal(text, into)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// coversAll reports whether a value is the placeholder.
func coversAll(value any) bool { return value == masking.Placeholder }
