package masking_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
)

func rules(t testing.TB, paths ...string) *masking.Rules {
	t.Helper()
	text, err := json.Marshal(map[string]any{"rules": []any{map[string]any{"topic": "t", "paths": paths}, map[string]any{"saga": "s", "paths": paths}}})
	require.NoError(t, err)
	found, err := masking.Parse(text)
	require.NoError(t, err)
	return found
}

func shown(t testing.TB, payload string, paths ...string) masking.View {
	t.Helper()
	return rules(t, paths...).Message(admin.Operator, "t", "T", []byte(payload))
}

const m = `"***masked***"`

// What a rule names is hidden however it is written, and every other byte is as it was.
func TestMessage_HidesWhatThePathsSelect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, payload, shown string }{
		{"$.a", `{ "b" : 12345678901234567890.10e+2 ,"a":"secret", "c":[1, 2]}`, `{ "b" : 12345678901234567890.10e+2 ,"a":` + m + `, "c":[1, 2]}`},
		{"$.a", `{"a":1,"A":2,"a":3,"b":4}`, `{"a":` + m + `,"A":` + m + `,"a":` + m + `,"b":4}`},
		{"$.email", `{"em\u0061il":"x"}`, `{"em\u0061il":` + m + `}`},
		{"$.a", `{"a":{"b":[1,{"c":2}]}}`, `{"a":` + m + `}`},
		{"$.a", `{"a":null}`, `{"a":` + m + `}`},
		{"$.a.b", `{"a":{"b":1},"a":{"b":2}}`, `{"a":{"b":` + m + `},"a":{"b":` + m + `}}`},
		{"$..a", `[{"a":1},{"b":{"a":[{"a":2}]}}]`, `[{"a":` + m + `},{"b":{"a":` + m + `}}]`},
		{"$..*", `{"a":1,"b":[]}`, `{"a":` + m + `,"b":` + m + `}`},
		{"$[*].a", `[{"a":1},2,{"a":3}]`, `[{"a":` + m + `},2,{"a":` + m + `}]`},
		{"$.*", `{"a":1,"b":2}`, `{"a":` + m + `,"b":` + m + `}`},
		{"$[0]", `[1,2]`, `[` + m + `,2]`},
		{"$[-1]", `[1,2]`, `[1,` + m + `]`},
		{"$[1:]", `[1,2,3]`, `[1,` + m + `,` + m + `]`},
		{"$[::-2]", `[1,2,3]`, `[` + m + `,2,` + m + `]`},
		{"$[0]", `{"0":1}`, `{"0":1}`},
		{"$['a','b']", `{"a":1,"b":2,"c":3}`, `{"a":` + m + `,"b":` + m + `,"c":3}`},
		{"$['a b'].c", `{"a b":{"c":1}}`, `{"a b":{"c":` + m + `}}`},
		{"$", `{"a":1}`, m},
		{"$.x", `{"a":"}{\"x\":1"}`, `{"a":"}{\"x\":1"}`},
		{"$.x", ` [ ] `, ` [ ] `},
		{"$.a", ``, ``},
	} {
		v := shown(t, c.payload, c.path)
		require.Equal(t, c.shown, string(v.Bytes()), "%s of %s", c.path, c.payload)
		require.Equal(t, c.shown != c.payload, v.Hides())
		require.Equal(t, v.Hides(), v.Says() != "")
	}
}

// What cannot be taken apart is hidden as a whole, and it is said why.
func TestMessage_HidesAllOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`{"a":"secret"`, "\x00\x00\x00\x00\x01{\"a\":1}", "{\"a\":\"secret\xff\"}", "secret", `{"a":1}{"a":2}`} {
		v := shown(t, payload, "$.b")
		require.Equal(t, m, string(v.Bytes()), payload)
		require.Contains(t, v.Says(), "all of it is hidden from the role operator: it ")
		require.Equal(t, masking.Placeholder, v.Scrub("quotes secret"))
	}
}

func TestRules_SayWhatIsHiddenFromWhom(t *testing.T) {
	t.Parallel()
	r, err := masking.Parse([]byte(`{"rules":[
		{"topic":"orders.*","type":"OrderCreated","paths":["$.a"]},
		{"topic":"*","paths":["$.b"],"clear":"operator"},
		{"saga":"order","paths":["$.c"]}]}`))
	require.NoError(t, err)
	const payload = `{"a":1,"b":2,"c":3}`
	for _, c := range []struct {
		role              admin.Role
		topic, kind, show string
	}{
		{admin.Nobody, "orders.v1", "OrderCreated", `{"a":` + m + `,"b":` + m + `,"c":3}`},
		{admin.Reader, "orders.v1", "OrderCreated", `{"a":` + m + `,"b":` + m + `,"c":3}`},
		{admin.Operator, "orders.v1", "OrderCreated", `{"a":` + m + `,"b":2,"c":3}`},
		{admin.Operator, "orders.v1", "ordercreated", `{"a":` + m + `,"b":2,"c":3}`},
		{admin.Operator, "orders.v1", "", `{"a":` + m + `,"b":2,"c":3}`},
		{admin.Operator, "orders.v1.dlq", "OrderCreated", `{"a":` + m + `,"b":2,"c":3}`},
		{admin.Operator, "orders.v1", "Other", payload},
		{admin.Operator, "x", "OrderCreated", payload},
		{admin.Admin, "orders.v1", "OrderCreated", payload},
	} {
		require.Equal(t, c.show, string(r.Message(c.role, c.topic, c.kind, []byte(payload)).Bytes()), "%+v", c)
		require.Equal(t, c.show != payload, r.HidesMessage(c.role, c.topic, c.kind))
	}
	require.JSONEq(t, `{"a":1,"b":2,"c":`+m+`}`, string(r.Saga(admin.Operator, "order", []byte(payload)).Bytes()))
	require.Equal(t, payload, string(r.Saga(admin.Operator, "trip", []byte(payload)).Bytes()))
	require.True(t, r.HidesSaga(admin.Operator, "order"))
	require.False(t, r.Hides(admin.Admin))
	var none *masking.Rules
	require.Equal(t, payload, string(none.Message(admin.Nobody, "orders.v1", "", []byte(payload)).Bytes()))
	require.False(t, none.Hides(admin.Nobody))
	long := strings.Repeat("t", 249)
	r, err = masking.Parse([]byte(`{"rules":[{"topic":"` + long + `","paths":["$"]}]}`))
	require.NoError(t, err)
	require.True(t, r.HidesMessage(admin.Operator, long[:229]+"-0000000000000000.dlq", "") || r.HidesMessage(admin.Operator, long, ""))
}

func TestParse_SaysWhichRuleIsWrong(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`[]`:                                     "no file of rules",
		`{"rules":[]}`:                           `has no "rules"`,
		`{"rule":[{"topic":"t","paths":["$"]}]}`: "unknown field",
		`{"rules":[{"topic":"t","paths":["$"]}]} {}`:              "more than one",
		`{"rules":[{"topic":"t","paths":["$"]},{"paths":["$"]}]}`: `rule 2: say one of "topic" and "saga"`,
		`{"rules":[{"topic":"t","saga":"s","paths":["$"]}]}`:      `rule 1: say one of`,
		`{"rules":[{"saga":"s","type":"T","paths":["$"]}]}`:       `means nothing with "saga"`,
		`{"rules":[{"topic":"[","paths":["$"]}]}`:                 "no pattern",
		`{"rules":[{"topic":"t"}]}`:                               `has no "paths"`,
		`{"rules":[{"topic":"t","paths":["email"]}]}`:             `"email": jsonpath`,
		`{"rules":[{"topic":"t","paths":["$.a[?@.b == 1]"]}]}`:    "has a filter",
		`{"rules":[{"topic":"t","paths":["$"],"clear":"boss"}]}`:  "a role must be one of viewer, reader, operator, admin",
		`{"rules":[{"topic":"t","paths":["$"],"path":"$.a"}]}`:    "unknown field",
	} {
		_, err := masking.Parse([]byte(text))
		require.ErrorContains(t, err, says, text)
	}
}

func TestConfig_IsCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	r, err := masking.Config{}.Load()
	require.NoError(t, err)
	require.Nil(t, r)
	require.Empty(t, masking.Config{}.Validate())
	require.ErrorContains(t, masking.Config{File: "/nowhere"}.Validate()[0], "PAYLOAD_MASKS: ")
	path := filepath.Join(t.TempDir(), "masks.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"rules":[{"topic":"t","paths":["$.a"]}]}`), 0o600))
	r, err = masking.Config{File: path}.Load()
	require.NoError(t, err)
	require.True(t, r.HidesMessage(admin.Operator, "t", "T"))
	require.NoError(t, os.WriteFile(path, []byte(`{"rules":[{"topic":"t","paths":["a"]}]}`), 0o600))
	require.ErrorContains(t, masking.Config{File: path}.Validate()[0], "masks.json: rule 1: ")
}

// An edit is what was meant: each placeholder is the value that it hid.
func TestRestore_PutsBackWhatWasHidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, payload, edited, restored string }{
		{"$.a", `{"a":"x", "b":1}`, `{"b":2,"a":` + m + `}`, `{"b":2,"a":"x"}`},
		{"$.a", `{"a":12345678901234567890,"b":1}`, ` {"a" : "***m\u0061sked***" }`, ` {"a" : 12345678901234567890 }`},
		{"$.a", `{"a":"x","b":1}`, `{"a":"new","b":1}`, `{"a":"new","b":1}`},
		{"$.a", `{"a":"x","b":1}`, `{"b":1}`, `{"b":1}`},
		{"$.a", `{"a":1,"a":2}`, `{"a":` + m + `,"a":` + m + `}`, `{"a":1,"a":2}`},
		{"$..p", `{"l":[{"p":1},{"p":2}]}`, `{"l":[{"p":` + m + `,"q":0},{"p":` + m + `}]}`, `{"l":[{"p":1,"q":0},{"p":2}]}`},
		{"$..p", `{"l":[{"p":1},{"p":2}]}`, `{"l":[{"p":3}]}`, `{"l":[{"p":3}]}`},
		{"$", `{"a":1}`, m, `{"a":1}`},
		{"$.b", `{"a":"***masked***","b":1}`, `{"a":` + m + `,"b":` + m + `}`, `{"a":"***masked***","b":1}`},
		{"$.b", `{"a":` + m + `}`, `{"a":` + m + `}`, `{"a":` + m + `}`},
		{"$.b", `no JSON`, m, `no JSON`},
	} {
		got, err := shown(t, c.payload, c.path).Restore([]byte(c.edited))
		require.NoError(t, err, c.edited)
		require.Equal(t, c.restored, string(got))
	}
}

// A placeholder that stands for nothing known is refused, with its place: nothing is ever written
// with it.
func TestRestore_RefusesAPlaceholderThatHidesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, payload, edited, says string }{
		{"$.a", `{"a":"x"}`, `{"b":` + m + `}`, `at "/b"`},
		{"$.a", `{"a":"x"}`, `{"A":` + m + `}`, `at "/A"`},
		{"$.a", `{"a":"x","b":1}`, `{"a":"x","b":` + m + `}`, `at "/b"`},
		{"$.a", `{"a":"x"}`, `{"a":"not ***masked***"}`, `at "/a"`},
		{"$.a", `{"a":{"b":1}}`, `{"a":{"b":` + m + `}}`, `at "/a/b"`},
		{"$.a", `{"a":"x"}`, `{"***masked***":1}`, "it is no name"},
		{"$.a", `{"a":"x"}`, `[` + m + `]`, `at "/0"`},
		{"$.a", `{"a":1}`, `{"a":` + m + `,"a":` + m + `}`, `at "/a"`},
		{"$..p", `{"l":[{"p":1},{"p":2}]}`, `{"l":[{"p":` + m + `}]}`, `at "/l/0/p": the array "/l" has another length`},
		{"$.a", `{"a":"x"}`, `{"~/":` + m + `}`, `at "/~0~1"`},
		{"$.b", `no JSON`, `{"b":` + m + `}`, `at "/b"`},
		{"$.a", `{"a":1}`, `***masked***`, `at ""`},
	} {
		_, err := shown(t, c.payload, c.path).Restore([]byte(c.edited))
		place := (*masking.PlaceError)(nil)
		require.ErrorAs(t, err, &place, c.edited)
		require.ErrorContains(t, err, c.says)
	}
	require.ErrorContains(t, masking.Refuse([]byte(`{"a":["***masked***"]}`)), `at "/a/0"`)
	require.NoError(t, masking.Refuse([]byte(`{"a":1}`)))
	require.True(t, masking.Contains([]byte(`{"\u002a**masked***":1}`)))
}

// What is restored must be hidden in what is written, or an edit of the type would show it.
func TestCovers_SaysWhetherWhatWasHiddenStaysSo(t *testing.T) {
	t.Parallel()
	before := shown(t, `{"a":"x","b":[{"c":1}]}`, "$.a", "$.b[*].c")
	require.True(t, shown(t, `{"a":"x","b":[{"c":1}],"d":1}`, "$.a", "$.b[*].c").Covers(before))
	require.True(t, shown(t, `{"a":"x","b":[{"c":1}]}`, "$").Covers(before))
	require.False(t, shown(t, `{"a":"x","b":[{"c":1}]}`, "$.a").Covers(before))
	require.False(t, rules(t, "$.a").Message(admin.Operator, "other", "", []byte(`{"a":"x"}`)).Covers(before))
	require.True(t, rules(t, "$.a").Message(admin.Operator, "other", "", []byte(`{"a":"x"}`)).Covers(masking.View{}))
}

func TestScrub_HidesWhatATextQuotes(t *testing.T) {
	t.Parallel()
	v := shown(t, `{"a":"ann@example.com","b":"fine","n":{"k\"ey":123456}}`, "$.a", "$.n")
	require.Equal(t, `cannot read "***masked***", nor ***masked***; fine`, v.Scrub(`cannot read "ann@example.com", nor 123456; fine`))
	require.Equal(t, "x", masking.View{}.Scrub("x"))
}

func TestView_IsEncodedAsWhatItShows(t *testing.T) {
	t.Parallel()
	var nothing *masking.Rules
	for payload, encoded := range map[string]string{`{"a":1}`: `{"a":1}`, "text": `"text"`, "": "null"} {
		v := nothing.Message(admin.Operator, "t", "", []byte(payload))
		got, err := json.Marshal(struct{ V masking.View }{v})
		require.NoError(t, err)
		require.Equal(t, `{"V":`+encoded+`}`, string(got))
	}
	var back masking.View
	require.NoError(t, json.Unmarshal([]byte(`{"a":2}`), &back))
	require.Equal(t, `{"a":2}`, string(back.Bytes()))
	require.True(t, masking.Hidden("why").Hides())
}
