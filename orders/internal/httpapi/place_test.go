package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
	"waybill.example/contracts"
)

const (
	burger = `{"userId":"u1","sku":"burger","quantity":2,"note":"kafka test"}`
	orders = "select count(*) from orders"
	events = "select count(*) from outbox"
)

func TestPlace_AnswersWithTheIDAndWhereTheOrderIs(t *testing.T) {
	t.Parallel()
	f := start(t)
	w := f.post("/v1/orders", burger)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Equal(t, `{"id":1}`, strings.TrimSpace(w.Body.String()))
	require.Equal(t, "/v1/orders/1", w.Header().Get("Location"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Contains(t, f.get("/v1/orders/1").Body.String(),
		`{"id":1,"userId":"u1","sku":"burger","quantity":2,"note":"kafka test","status":"PENDING","createdAt":"`)
}

func TestPlace_TakesTheClientsTraceAlong(t *testing.T) {
	t.Parallel()
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f := start(t)
	for _, header := range []string{trace, "not a trace\x00", ""} {
		r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(burger))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("traceparent", header)
		require.Equal(t, http.StatusAccepted, f.do(r).Code)
	}
	require.Equal(t, 3, f.count(t, events))
	require.Equal(t, 1, f.count(t, events+` where headers = '{"traceparent": "`+trace+`"}'`))
	require.Equal(t, 2, f.count(t, events+` where headers = '{}'`))
}

func TestPlace_TakesEveryOrderWithinTheLimits(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, body := range map[string]string{
		"no note":                   `{"userId":"u","sku":"s","quantity":1}`,
		"a null note":               `{"userId":"u","sku":"s","quantity":1,"note":null}`,
		"the largest quantity":      `{"userId":"u","sku":"s","quantity":1000000}`,
		"128 bytes":                 `{"userId":"` + strings.Repeat("u", 128) + `","sku":"` + strings.Repeat("ü", 64) + `","quantity":1}`,
		"1,000 characters":          `{"userId":"u","sku":"s","quantity":1,"note":"` + strings.Repeat("✓", 1000) + `"}`,
		"letters of all scripts":    `{"userId":"Ελένη","sku":"饭团🍙","quantity":1,"note":"it's \"good\" \\ ' ; drop table orders; --"}`,
		"white space around it":     "\n {\"userId\" : \"u\",\t\"sku\":\"s\",\"quantity\":1}\r\n",
		"64 KiB, most of it spaces": `{"userId":"u","sku":"s","quantity":1}` + strings.Repeat(" ", 64<<10-37),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.place(t, body)
		})
	}
}

func TestPlace_RefusesBadInputAndNamesEveryInvalidField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	tests := map[string]struct {
		body   string
		status int
		names  []string // each must be in the message or the location of an error of its own
	}{
		"no JSON":                   {`{"userId":`, 400, nil},
		"not JSON":                  {`userId=u1&sku=burger`, 400, nil},
		"more after it":             {burger + `{}`, 400, nil},
		"nothing":                   {``, 400, nil},
		"white space":               {`  `, 400, nil},
		"no UTF-8":                  {"{\"userId\":\"\xff\",\"sku\":\"s\",\"quantity\":1}", 400, nil},
		"a raw control character":   {"{\"userId\":\"a\x01\",\"sku\":\"s\",\"quantity\":1}", 400, nil},
		"a field twice":             {`{"userId":"u","sku":"s","quantity":1,"quantity":2}`, 400, []string{"quantity"}},
		"a number beyond all":       {`{"userId":"u","sku":"s","quantity":1e999}`, 400, nil},
		"an array":                  {`[]`, 422, []string{"object", "sku", "quantity"}},
		"null":                      {`null`, 422, []string{"object", "sku", "quantity"}},
		"a string":                  {`"order"`, 422, []string{"object", "sku", "quantity"}},
		"an empty object":           {`{}`, 422, []string{"userId", "sku", "quantity"}},
		"nulls":                     {`{"userId":null,"sku":null,"quantity":null}`, 422, []string{"userId", "sku", "quantity"}},
		"an unknown field":          {`{"userId":"u","sku":"s","quantity":1,"colour":"red"}`, 422, []string{"colour"}},
		"a field in another case":   {`{"userId":"u","SKU":"s","quantity":1}`, 422, []string{"SKU"}},
		"wrong types":               {`{"userId":1,"sku":["s"],"quantity":"2","note":{}}`, 422, []string{"userId", "sku", "quantity", "note"}},
		"empty":                     {`{"userId":"","sku":"","quantity":1}`, 422, []string{"userId", "sku"}},
		"over-long":                 {`{"userId":"` + long + `","sku":"` + long + `","quantity":1,"note":"` + strings.Repeat("n", 1001) + `"}`, 422, []string{"userId", "sku", "note"}},
		"over-long in bytes":        {`{"userId":"` + strings.Repeat("ü", 65) + `","sku":"` + strings.Repeat("饭", 43) + `","quantity":1}`, 422, []string{"userId", "sku"}},
		"over-long and more":        {`{"userId":"` + strings.Repeat("ü", 65) + `","sku":"","quantity":0}`, 422, []string{"userId", "sku", "quantity"}},
		"quantity zero":             {`{"userId":"u","sku":"s","quantity":0}`, 422, []string{"quantity"}},
		"quantity negative":         {`{"userId":"u","sku":"s","quantity":-1}`, 422, []string{"quantity"}},
		"quantity above a million":  {`{"userId":"u","sku":"s","quantity":1000001}`, 422, []string{"quantity"}},
		"quantity above 32 bits":    {`{"userId":"u","sku":"s","quantity":4294967297}`, 422, []string{"quantity"}},
		"quantity a fraction":       {`{"userId":"u","sku":"s","quantity":1.5}`, 422, []string{"quantity"}},
		"quantity with an exponent": {`{"userId":"u","sku":"s","quantity":1e2}`, 422, []string{"quantity"}},
		"control characters":        {`{"userId":"a\u0001","sku":"b\u001b[2J","quantity":1,"note":"c\nd"}`, 422, []string{"userId", "sku", "note"}},
		"more control characters":   {`{"userId":"a\u007f","sku":"b\u0085","quantity":1}`, 422, []string{"userId", "sku"}},
		"text that steers text":     {`{"userId":"a\u202e","sku":"b\u2028","quantity":1,"note":"\ufeff"}`, 422, []string{"userId", "sku", "note"}},
		"everything":                {`{"userId":"","quantity":0,"note":7,"colour":1}`, 422, []string{"userId", "sku", "quantity", "note", "colour"}},
		"too large":                 {`{"userId":"u","sku":"s","quantity":1}` + strings.Repeat(" ", 64<<10-36), 413, nil},
		"far too large":             {strings.Repeat(burger, 100_000), 413, nil},
	}
	f := start(t)
	t.Run("", func(t *testing.T) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := requireProblem(t, tt.status, f.post("/v1/orders", tt.body))
				for _, field := range tt.names {
					require.True(t, named(p, field), "%s in %+v", field, p.Errors)
				}
				if tt.status == http.StatusUnprocessableEntity {
					require.Len(t, p.Errors, len(tt.names), "%+v", p.Errors)
				}
			})
		}
	})
	require.Zero(t, f.count(t, orders))
	require.Zero(t, f.count(t, events))
}

func named(p problem, field string) bool {
	for _, e := range p.Errors {
		if strings.Contains(e.Location+" "+e.Message, field) {
			return true
		}
	}
	return false
}

func TestPlace_RefusesABodyThatIsNotDeclaredAsJSON(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, contentType := range []string{"", "application/x-www-form-urlencoded", "text/plain", "application/xml", "multipart/form-data; boundary=x"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(burger))
		r.Header.Set("Content-Type", contentType)
		requireProblem(t, http.StatusUnsupportedMediaType, f.do(r))
	}
	require.Zero(t, f.count(t, orders))
}

// What the API accepts, the database and the contract accept too, and it comes back unchanged; what
// it refuses is refused with 400 or 422, never with 500.
func FuzzPlace_EitherStoresAnOrderOrRefusesIt(f *testing.F) {
	f.Add("u1", "burger", int64(2), "kafka test")
	f.Add("", "\x00", int64(0), "\u0085")
	f.Add(strings.Repeat("ü", 65), "\xff", int64(1)<<33, strings.Repeat("n", 1001))
	f.Add("\U0010ffff", "\ufffd", int64(1_000_000), "\u200d")
	f.Add("u", "s", int64(1), "\u2028")
	fix := start(f)
	f.Fuzz(func(t *testing.T, user, sku string, quantity int64, note string) {
		w := fix.post("/v1/orders", encode(t, map[string]any{"userId": user, "sku": sku, "quantity": quantity, "note": note}))
		valid := len(user) > 0 && len(user) <= contracts.MaxNameBytes && len(sku) > 0 && len(sku) <= contracts.MaxNameBytes &&
			utf8.RuneCountInString(note) <= 1000 && quantity >= 1 && quantity <= contracts.MaxQuantity &&
			terminal.Plain(user+sku+note)
		if !utf8.ValidString(user + sku + note) {
			return // encoding/json has replaced something
		}
		if strings.Contains(user+sku+note, "\x00") {
			requireProblem(t, http.StatusBadRequest, w)
			return
		}
		if !valid {
			requireProblem(t, http.StatusUnprocessableEntity, w)
			return
		}
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
		shown := decode(t, fix.get(w.Header().Get("Location")))
		require.Equal(t, []any{user, sku, float64(quantity), note}, []any{shown["userId"], shown["sku"], shown["quantity"], shown["note"]})
	})
}
