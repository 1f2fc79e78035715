package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const two = `{"userId":"u1","items":[{"sku":"burger","quantity":2},{"sku":"cola","quantity":1}],"note":"n"}`

// payload is the body of the only event.
func (f fixture) payload(t *testing.T) (text string) {
	t.Helper()
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select convert_from(payload, 'UTF8') from outbox").Scan(&text))
	return text
}

func TestPlace_AnOrderOfSeveralLinesIsShownAndPublishedWithItems(t *testing.T) {
	t.Parallel()
	f := start(t)
	w := f.post("/v1/orders", two)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Equal(t, `{"id":1}`, strings.TrimSpace(w.Body.String()))
	const items = `"items":[{"sku":"burger","quantity":2},{"sku":"cola","quantity":1}]`
	for _, path := range []string{"/v1/orders/1", "/v1/orders"} {
		require.Contains(t, f.get(path).Body.String(), `{"id":1,"userId":"u1",`+items+`,"note":"n","status":"PENDING","createdAt":"`)
	}
	require.Regexp(t, `"orderId":1,"userId":"u1",\Q`+items+`\E}$`, f.payload(t))
}

// One line is the order that it always was, in whichever form it comes: to readers of the API and
// of the topic, and to the key of a request that is sent again.
func TestPlace_ItemsOfOneLineAreTheOrdinaryOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	const one = `{"userId":"u1","items":[{"quantity":2,"sku":"burger"}],"note":"kafka test"}`
	for _, body := range []string{one, burger, one} {
		w := f.postWithKey("k", "/v1/orders", body)
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
		require.Equal(t, `{"id":1}`, strings.TrimSpace(w.Body.String()))
	}
	require.Equal(t, 1, f.count(t, orders))
	require.Contains(t, f.get("/v1/orders/1").Body.String(), `{"id":1,"userId":"u1","sku":"burger","quantity":2,"note":"kafka test","status":"PENDING","createdAt":"`)
	require.Regexp(t, `"orderId":1,"userId":"u1","sku":"burger","quantity":2}$`, f.payload(t))
	require.Equal(t, 1, f.count(t, orders+" where items is null and sku = 'burger' and quantity = 2"))
}

func TestPlace_AKeyTellsOrdersOfSeveralLinesApart(t *testing.T) {
	t.Parallel()
	f := start(t)
	for range 2 {
		require.Equal(t, http.StatusAccepted, f.postWithKey("k", "/v1/orders", two).Code)
	}
	require.Equal(t, 1, f.count(t, orders))
	for _, other := range []string{
		`{"userId":"u1","items":[{"sku":"cola","quantity":1},{"sku":"burger","quantity":2}],"note":"n"}`,
		`{"userId":"u1","items":[{"sku":"burger","quantity":2},{"sku":"cola","quantity":2}],"note":"n"}`,
		`{"userId":"u1","items":[{"sku":"burger","quantity":2}],"note":"n"}`,
		`{"userId":"u1","items":[{"sku":"burger","quantity":2},{"sku":"cola","quantity":1}]}`,
	} {
		p := requireProblem(t, http.StatusUnprocessableEntity, f.postWithKey("k", "/v1/orders", other))
		require.True(t, named(p, "Idempotency-Key"), other)
	}
}

// manyItems is a body of n lines whose skus have so many bytes.
func manyItems(t *testing.T, n, bytes int) string {
	t.Helper()
	items := make([]map[string]any, n)
	for i := range items {
		items[i] = map[string]any{"sku": fmt.Sprintf("%0*d", bytes, i), "quantity": 1_000_000}
	}
	body, err := json.Marshal(map[string]any{"userId": "u", "items": items})
	require.NoError(t, err)
	return string(body)
}

func TestPlace_TakesAHundredLinesOfTheLongestNames(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, manyItems(t, 100, 64))
	f.place(t, manyItems(t, 100, 128))
	require.Len(t, decode(t, f.get("/v1/orders/2"))["items"], 100)
}

func TestPlace_NamesWhatIsWrongWithItems(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, tt := range map[string]struct {
		items string
		names []string
	}{
		"both forms":           {`"sku":"a","quantity":1,"items":[{"sku":"a","quantity":1}]`, []string{"either items, or sku and quantity"}},
		"items and a sku":      {`"sku":"a","items":[{"sku":"a","quantity":1}]`, []string{"either items, or sku and quantity"}},
		"items and a quantity": {`"quantity":1,"items":[{"sku":"a","quantity":1}]`, []string{"either items, or sku and quantity"}},
		"neither":              {`"note":""`, []string{"sku", "quantity"}},
		"no items":             {`"items":null`, []string{"sku to be present, or items", "quantity to be present, or items"}},
		"half of one form":     {`"quantity":1`, []string{"sku"}},
		"no line":              {`"items":[]`, []string{"body.items"}},
		"101 lines":            {`"items":[` + strings.Repeat(`{"sku":"a","quantity":1},`, 100) + `{"sku":"b","quantity":1}]`, []string{"expected array length <= 100"}},
		"a sku twice":          {`"items":[{"sku":"a","quantity":1},{"sku":"b","quantity":1},{"sku":"a","quantity":1}]`, []string{"body.items[2].sku"}},
		"no sku":               {`"items":[{"sku":"a","quantity":1},{"quantity":1}]`, []string{"body.items[1]"}},
		"an empty sku":         {`"items":[{"sku":"","quantity":1},{"sku":"","quantity":1}]`, []string{"body.items[0].sku", "body.items[1].sku"}},
		"no quantity":          {`"items":[{"sku":"a"}]`, []string{"body.items[0]"}},
		"too many":             {`"items":[{"sku":"a","quantity":1000001}]`, []string{"body.items[0].quantity"}},
		"over-long in bytes":   {`"items":[{"sku":"` + strings.Repeat("ü", 65) + `","quantity":1}]`, []string{"body.items[0].sku"}},
		"control characters":   {`"items":[{"sku":"a\u0001","quantity":1}]`, []string{"body.items[0].sku"}},
		"an unknown field":     {`"items":[{"sku":"a","quantity":1,"colour":"red"}]`, []string{"body.items[0].colour"}},
		"not an array":         {`"items":{"sku":"a","quantity":1}`, []string{"body.items"}},
		"not objects":          {`"items":["a"]`, []string{"body.items[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := requireProblem(t, http.StatusUnprocessableEntity, f.post("/v1/orders", `{"userId":"u",`+tt.items+`}`))
			for _, field := range tt.names {
				require.True(t, named(p, field), "%s in %+v", field, p.Errors)
			}
		})
	}
	require.Zero(t, f.count(t, events))
}

// A reader of the document learns of both forms.
func TestDocument_SaysThatAnOrderHasOneOfTwoForms(t *testing.T) {
	t.Parallel()
	f := start(t)
	var document struct {
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(f.get("/openapi.json").Body.Bytes(), &document))
	require.Equal(t, []any{
		map[string]any{"required": []any{"sku", "quantity"}}, map[string]any{"required": []any{"items"}},
	}, document.Components.Schemas["Draft"]["oneOf"])
}
