package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/inventory/stock"
)

// with sends a request with headers, given as name, value, name, value.
func (c *client) with(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w
}

func (c *client) requireLevel(onHand, received float64) {
	c.t.Helper()
	level := c.get(200, "GET", "/v1/stock/rare", "")
	require.Equal(c.t, []any{onHand, received}, []any{level["onHand"], level["received"]})
}

// The retry that the 503 asks for, after three were sold in between: it must not put them back.
func TestSet_ARetryWithItsKeyChangesNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	put := func() *httptest.ResponseRecorder {
		return c.with("PUT", "/v1/stock/rare", `{"onHand":10}`, "Idempotency-Key", "k")
	}
	first := put()
	require.Equal(t, http.StatusCreated, first.Code, first.Body)
	c.apply(stock.Command{Action: stock.Reserve, OrderID: 1, Lines: []stock.Line{{SKU: "rare", Quantity: 3}}})
	again := put()
	require.Equal(t, http.StatusCreated, again.Code, "the same answer")
	require.Equal(t, first.Body.String(), again.Body.String())
	require.Equal(t, first.Header().Get("ETag"), again.Header().Get("ETag"))
	c.requireLevel(7, 10)
	require.Equal(t, http.StatusUnprocessableEntity, c.with("PUT", "/v1/stock/rare", `{"onHand":11}`, "Idempotency-Key", "k").Code)
	require.Equal(t, http.StatusUnprocessableEntity, c.with("PUT", "/v1/stock/other", `{"onHand":10}`, "Idempotency-Key", "k").Code)
	c.requireLevel(7, 10)
}

func TestSet_AKnownSKUIs200AndANewOne201(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	require.Equal(t, http.StatusCreated, c.with("PUT", "/v1/stock/rare", `{"onHand":1}`).Code)
	require.Equal(t, http.StatusOK, c.with("PUT", "/v1/stock/rare", `{"onHand":1}`).Code)
	require.Equal(t, http.StatusPreconditionFailed, c.with("PUT", "/v1/stock/rare", `{"onHand":1}`, "If-None-Match", "*").Code)
	require.Equal(t, http.StatusCreated, c.with("PUT", "/v1/stock/rarer", `{"onHand":1}`, "If-None-Match", "*").Code)
	require.Equal(t, http.StatusBadRequest, c.with("PUT", "/v1/stock/rarest", `{"onHand":1}`, "If-None-Match", "").Code, "a condition that says nothing")
}

// Fifty arrive: the count that is written was taken before five were sold.
func TestSet_IsDecidedAboutWhatWasSeen(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	require.Equal(t, http.StatusPreconditionFailed, c.with("PUT", "/v1/stock/rare", `{"onHand":1}`, "If-Match", "*").Code)
	c.with("PUT", "/v1/stock/rare", `{"onHand":10}`)
	seen := c.with("GET", "/v1/stock/rare", "").Header().Get("ETag")
	require.NotEmpty(t, seen)
	c.apply(stock.Command{Action: stock.Reserve, OrderID: 1, Lines: []stock.Line{{SKU: "rare", Quantity: 5}}})
	require.Equal(t, http.StatusPreconditionFailed, c.with("PUT", "/v1/stock/rare", `{"onHand":60}`, "If-Match", seen).Code)
	require.Equal(t, http.StatusPreconditionFailed, c.with("PUT", "/v1/stock/rare", `{"onHand":60}`, "If-Match", `"nope"`).Code)
	c.requireLevel(5, 10)
	now := c.with("GET", "/v1/stock/rare", "").Header().Get("ETag")
	moved := c.with("PUT", "/v1/stock/rare", `{"onHand":55}`, "If-Match", now)
	require.Equal(t, http.StatusOK, moved.Code, moved.Body)
	require.NotEqual(t, now, moved.Header().Get("ETag"))
	c.requireLevel(55, 60)
}

func TestChange_AKeyThatProtectsNothingIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, keys := range [][]string{{""}, {"a", "b"}} {
		r := httptest.NewRequest(http.MethodPut, "/v1/stock/rare", strings.NewReader(`{"onHand":1}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header["Idempotency-Key"] = keys
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
	}
}

func TestAPI_RefusesUnknownQueryParameters(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, path := range []string{"/v1/stock?foo=1", "/v1/stock/rare?foo=1", "/v1/reservations/1?foo=1"} {
		require.Equal(t, http.StatusUnprocessableEntity, c.do("GET", path, "").Code, path)
	}
}
