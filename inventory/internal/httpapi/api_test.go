package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/pgtest"
	"waybill.example/inventory/internal/httpapi"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/stock"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// client talks to the API over a real store, without a network.
type client struct {
	t       *testing.T
	handler http.Handler
	db      *pgtest.Database
	store   *postgres.Store
}

func newClient(t *testing.T) *client {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Inventory)
	store := postgres.NewStore(db.Pool)
	return &client{t, serve(t, store, slog.New(slog.DiscardHandler)), db, store}
}

func serve(t *testing.T, store httpapi.Store, log *slog.Logger, pairs ...string) http.Handler {
	t.Helper()
	tokens, err := admin.Parse("INVENTORY_ADMIN_TOKENS", pairs)
	require.NoError(t, err)
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Test", Version: "1", Log: log, Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	httpapi.Register(server.API, store, tokens, log)
	t.Cleanup(func() { // gives the port back
		ended, end := context.WithCancel(context.WithoutCancel(t.Context()))
		end()
		require.NoError(t, server.Run(ended))
	})
	return server.Router
}

func (c *client) do(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w
}

// get returns a JSON answer without its times, and without the movement of a change.
func (c *client) get(status int, method, path, body string) map[string]any {
	c.t.Helper()
	w := c.do(method, path, body)
	require.Equal(c.t, status, w.Code, "%s %s: %s", method, path, w.Body)
	var answer map[string]any
	require.NoError(c.t, json.Unmarshal(w.Body.Bytes(), &answer))
	for _, at := range []string{"updatedAt", "createdAt", "movement"} {
		delete(answer, at)
	}
	return answer
}

func (c *client) apply(commands ...stock.Command) {
	c.t.Helper()
	var reads, writes pgx.Batch // each a transaction; nobody else is here
	known := c.store.Load(&reads, commands)
	require.NoError(c.t, c.db.Pool.SendBatch(c.t.Context(), &reads).Close())
	c.store.Save(&writes, stock.Decide(*known, commands), time.Now())
	require.NoError(c.t, c.db.Pool.SendBatch(c.t.Context(), &writes).Close())
}

func TestSet_IsShown(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	want := map[string]any{"sku": "burger", "onHand": 5.0, "reserved": 0.0, "received": 5.0}
	for _, status := range []int{201, 200} {
		require.Empty(t, cmp.Diff(want, c.get(status, "PUT", "/v1/stock/burger", `{"onHand":5}`)))
	}
	require.Empty(t, cmp.Diff(want, c.get(200, "GET", "/v1/stock/burger", "")))

	c.apply(stock.Command{Action: stock.Reserve, OrderID: 1, Lines: []stock.Line{{SKU: "burger", Quantity: 2}}})
	want = map[string]any{"sku": "burger", "onHand": 3.0, "reserved": 2.0, "received": 5.0}
	require.Empty(t, cmp.Diff(want, c.get(200, "GET", "/v1/stock/burger", "")))
	want = map[string]any{"sku": "burger", "onHand": 0.0, "reserved": 2.0, "received": 2.0}
	require.Empty(t, cmp.Diff(want, c.get(200, "PUT", "/v1/stock/burger", `{"onHand":0}`)))

	w := c.do("GET", "/v1/stock/burger", "")
	var raw struct{ UpdatedAt string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &raw))
	require.True(t, strings.HasSuffix(raw.UpdatedAt, "Z"), "%s is UTC", raw.UpdatedAt)
}

func TestSet_TakesAnySKUThatOrdersTake(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, sku := range []string{"a b", "50%", "a/b", "größe", "🍔", "..", "x?y=z#w", `"'\`, "%2F", strings.Repeat("x", 128)} {
		path := "/v1/stock/" + strings.ReplaceAll(url.PathEscape(sku), ".", "%2E")
		require.Equal(t, sku, c.get(201, "PUT", path, `{"onHand":1}`)["sku"])
		require.Equal(t, sku, c.get(200, "GET", path, "")["sku"])
	}
}

func TestList_HasEachSKUOnce(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	require.Equal(t, map[string]any{"stock": []any{}}, c.get(200, "GET", "/v1/stock", ""))
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("sku %d", i))
		c.get(201, "PUT", "/v1/stock/"+url.PathEscape(want[i]), `{"onHand":1}`)
	}
	var got []string
	for query := "?limit=3"; query != ""; {
		page := c.get(200, "GET", "/v1/stock"+query, "")
		for _, level := range page["stock"].([]any) {
			got = append(got, level.(map[string]any)["sku"].(string))
		}
		query = ""
		if next, more := page["next"].(string); more {
			query = "?limit=3&cursor=" + next
		}
	}
	require.Equal(t, want, got)
}

func TestReservation_IsShown(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/burger", `{"onHand":5}`)
	c.apply(
		stock.Command{Action: stock.Reserve, OrderID: 1, Lines: []stock.Line{{SKU: "burger", Quantity: 2}}},
		stock.Command{Action: stock.Reserve, OrderID: 2, Lines: []stock.Line{{SKU: "pizza", Quantity: 1}}},
		stock.Command{Action: stock.Release, OrderID: 3},
		stock.Command{Action: stock.Reserve, OrderID: 4, Lines: []stock.Line{{SKU: "burger", Quantity: 1}, {SKU: "pizza", Quantity: 2}}},
	)
	for path, want := range map[string]map[string]any{
		"/v1/reservations/1": {"orderId": 1.0, "sku": "burger", "quantity": 2.0, "state": "RESERVED"},
		"/v1/reservations/2": {"orderId": 2.0, "sku": "pizza", "quantity": 1.0, "state": "REJECTED", "reason": `unknown sku "pizza"`},
		"/v1/reservations/3": {"orderId": 3.0, "state": "RELEASED"},
		"/v1/reservations/4": {
			"orderId": 4.0, "state": "REJECTED", "reason": `unknown sku "pizza": 2 requested`,
			"items": []any{map[string]any{"sku": "burger", "quantity": 1.0}, map[string]any{"sku": "pizza", "quantity": 2.0}},
		},
	} {
		require.Empty(t, cmp.Diff(want, c.get(200, "GET", path, "")))
	}
}

func TestAPI_NamesBadInput(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/burger", `{"onHand":5}`)
	tests := map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"negative":             {"PUT", "/v1/stock/burger", `{"onHand":-1}`, 422, "body.onHand"},
		"too large":            {"PUT", "/v1/stock/burger", `{"onHand":1000000000001}`, 422, "body.onHand"},
		"far too large":        {"PUT", "/v1/stock/burger", `{"onHand":1e300}`, 422, "body.onHand"},
		"a fraction":           {"PUT", "/v1/stock/burger", `{"onHand":1.5}`, 422, "body.onHand"},
		"text":                 {"PUT", "/v1/stock/burger", `{"onHand":"5"}`, 422, "body.onHand"},
		"nothing":              {"PUT", "/v1/stock/burger", `{}`, 422, "onHand"},
		"null":                 {"PUT", "/v1/stock/burger", `{"onHand":null}`, 422, "onHand"},
		"an unknown field":     {"PUT", "/v1/stock/burger", `{"onHand":5,"colour":"red"}`, 422, "body.colour"},
		"malformed":            {"PUT", "/v1/stock/burger", `{"onHand":`, 400, "unexpected end of JSON"},
		"no body":              {"PUT", "/v1/stock/burger", "", 400, "body is required"},
		"too much":             {"PUT", "/v1/stock/burger", `{"onHand":5,"x":"` + strings.Repeat("x", 64<<10) + `"}`, 413, "too large"},
		"long sku":             {"PUT", "/v1/stock/" + strings.Repeat("x", 129), `{"onHand":5}`, 400, "path.sku"},
		"long in bytes":        {"PUT", "/v1/stock/" + strings.Repeat("%C3%A9", 65), `{"onHand":5}`, 400, "at most 128 bytes"},
		"control character":    {"PUT", "/v1/stock/a%01b", `{"onHand":5}`, 400, "control characters"},
		"newline":              {"GET", "/v1/stock/a%0Ab", "", 400, "control characters"},
		"no UTF-8":             {"PUT", "/v1/stock/%FF", `{"onHand":5}`, 400, "UTF-8"},
		"everything at once":   {"PUT", "/v1/stock/%01", `{"onHand":-1}`, 422, "body.onHand"},
		"unknown sku":          {"GET", "/v1/stock/pizza", "", 404, "not found"},
		"unknown order":        {"GET", "/v1/reservations/1", "", 404, "not found"},
		"order 0":              {"GET", "/v1/reservations/0", "", 404, "not found"},
		"order is text":        {"GET", "/v1/reservations/x", "", 400, "whole number"},
		"order is huge":        {"GET", "/v1/reservations/9223372036854775808", "", 400, "whole number"},
		"page of nothing":      {"GET", "/v1/stock?limit=0", "", 422, "query.limit"},
		"page of too much":     {"GET", "/v1/stock?limit=501", "", 422, "query.limit"},
		"page of text":         {"GET", "/v1/stock?limit=x", "", 422, "query.limit"},
		"made-up cursor":       {"GET", "/v1/stock?cursor=%21", "", 422, "query.cursor"},
		"cursor of no sku":     {"GET", "/v1/stock?cursor=AAAA", "", 422, "query.cursor"},
		"empty threshold":      {"GET", "/v1/stock?below=0", "", 422, "query.below"},
		"threshold is text":    {"GET", "/v1/stock?below=x", "", 422, "query.below"},
		"an empty reason":      {"PUT", "/v1/stock/burger", `{"onHand":1,"reason":""}`, 422, "body.reason"},
		"no reason":            {"POST", "/v1/stock/burger/movements", `{"delta":1}`, 422, "reason"},
		"an empty one":         {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":""}`, 422, "body.reason"},
		"a blank one":          {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":" \u3000 "}`, 422, "must say why"},
		"a long one":           {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":"` + strings.Repeat("é", 501) + `"}`, 422, "body.reason"},
		"a reason of lines":    {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":"a\nb"}`, 422, "control characters"},
		"a reason that turns":  {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":"a\u202eb"}`, 422, "plain text"},
		"NUL in a reason":      {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":"a\u0000b"}`, 400, "escapes a NUL"},
		"half a character":     {"POST", "/v1/stock/burger/movements", `{"delta":1,"reason":"\ud83d"}`, 400, "lone surrogate"},
		"zero":                 {"POST", "/v1/stock/burger/movements", `{"delta":0,"reason":"r"}`, 422, "a movement of nothing"},
		"neither":              {"POST", "/v1/stock/burger/movements", `{"reason":"r"}`, 422, "either delta or counted"},
		"both":                 {"POST", "/v1/stock/burger/movements", `{"delta":1,"counted":1,"reason":"r"}`, 422, "either delta or counted"},
		"counted negative":     {"POST", "/v1/stock/burger/movements", `{"counted":-1,"reason":"r"}`, 422, "body.counted"},
		"delta beyond bounds":  {"POST", "/v1/stock/burger/movements", `{"delta":1000000000001,"reason":"r"}`, 422, "body.delta"},
		"delta beyond int64":   {"POST", "/v1/stock/burger/movements", `{"delta":9223372036854775808,"reason":"r"}`, 422, "body.delta"},
		"too many":             {"POST", "/v1/stock/burger/movements", `{"delta":1000000000000,"reason":"r"}`, 409, "more than 1000000000000"},
		"too few":              {"POST", "/v1/stock/burger/movements", `{"delta":-6,"reason":"r"}`, 409, "5 are on hand, and 6 were to be taken away"},
		"a movement of what?":  {"POST", "/v1/stock/pizza/movements", `{"delta":1,"reason":"r"}`, 404, "not found"},
		"a count of what?":     {"POST", "/v1/stock/pizza/movements", `{"counted":1,"reason":"r"}`, 404, "not found"},
		"the log of what?":     {"GET", "/v1/stock/pizza/movements", "", 404, "not found"},
		"who holds what?":      {"GET", "/v1/stock/pizza/reservations", "", 404, "not found"},
		"cursor of no log":     {"GET", "/v1/stock/burger/movements?cursor=LTE", "", 422, "query.cursor"},
		"cursor of no number":  {"GET", "/v1/stock/burger/reservations?cursor=eA", "", 422, "query.cursor"},
		"stock cannot be sent": {"POST", "/v1/stock/burger", `{"onHand":5}`, 405, "method not allowed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.do(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, w.Code, w.Body)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Contains(t, w.Body.String(), tt.says)
			if name == "everything at once" {
				require.Contains(t, w.Body.String(), "path.sku")
			}
		})
	}
	t.Cleanup(func() {
		level, err := c.store.Level(context.WithoutCancel(t.Context()), "burger")
		require.NoError(t, err)
		require.Equal(t, int64(5), level.OnHand, "bad input changes nothing")
	})
}

// failing is a store whose database refuses everything in its own words.
type failing struct{ httpapi.Store }

var errSQL = errors.New(`ERROR: relation "stock" does not exist (SQLSTATE 42P01): select * from stock`)

func (failing) Level(context.Context, string) (stock.Level, error) { return stock.Level{}, errSQL }

func TestAPI_AnUnexpectedErrorIsForTheLogOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := &client{t: t, handler: serve(t, failing{}, slog.New(slog.NewTextHandler(&log, nil)))}
	w := c.do("GET", "/v1/stock/burger", "")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "relation")
	require.NotContains(t, w.Body.String(), "SQL")
	require.Contains(t, log.String(), "SQLSTATE 42P01")
}
