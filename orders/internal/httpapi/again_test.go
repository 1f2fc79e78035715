package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func (f fixture) postWithKey(key, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	return f.do(r)
}

func TestPlace_TheSameRequestGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	f := start(t)
	key := strings.Repeat("~", 255)
	for _, body := range []string{burger, burger, `{ "quantity":2, "note":"kafka test", "sku":"burger", "userId":"u1" }`} {
		w := f.postWithKey(key, "/v1/orders", body)
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
		require.Equal(t, `{"id":1}`, strings.TrimSpace(w.Body.String()))
		require.Equal(t, "/v1/orders/1", w.Header().Get("Location"))
	}
	require.Equal(t, []int{1, 1}, []int{f.count(t, orders), f.count(t, events)})
}

func TestPlace_AKeyThatCameBeforeWithAnotherBodyIsA422(t *testing.T) {
	t.Parallel()
	f := start(t)
	require.Equal(t, http.StatusAccepted, f.postWithKey("k", "/v1/orders", burger).Code)
	for _, body := range []string{
		strings.Replace(burger, "2", "3", 1), strings.Replace(burger, "kafka test", "", 1), strings.Replace(burger, "burger", "pizza", 1),
	} {
		p := requireProblem(t, http.StatusUnprocessableEntity, f.postWithKey("k", "/v1/orders", body))
		require.True(t, named(p, "Idempotency-Key"), "%+v", p)
	}
	require.Equal(t, http.StatusAccepted, f.postWithKey("k", "/v1/orders", strings.Replace(burger, "u1", "u2", 1)).Code,
		"keys are each user's own")
	require.Equal(t, 2, f.count(t, orders))
}

func TestKeyed_AMalformedKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	for _, key := range []string{strings.Repeat("x", 256), "ü", "a\tb"} {
		requireProblem(t, http.StatusUnprocessableEntity, f.postWithKey(key, "/v1/orders", burger))
		requireProblem(t, http.StatusUnprocessableEntity, f.postWithKey(key, "/v1/orders/1/cancel", "{}"))
	}
	for _, key := range []string{"a\x00", "\xff"} {
		requireProblem(t, http.StatusBadRequest, f.postWithKey(key, "/v1/orders", burger))
	}
	for _, keys := range [][]string{{""}, {"a", "b"}, {"a", "a"}} {
		r := httptest.NewRequest(http.MethodPost, "/v1/orders", strings.NewReader(burger))
		r.Header.Set("Content-Type", "application/json")
		r.Header["Idempotency-Key"] = keys
		p := requireProblem(t, http.StatusUnprocessableEntity, f.do(r))
		require.Len(t, p.Errors, 1)
	}
	require.Equal(t, 1, f.count(t, orders))
}

func TestCancel_AskingAgainIsAcceptedAndTellsNobodyTwice(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	for _, key := range []string{"a", "a", "b"} {
		w := f.postWithKey(key, "/v1/orders/1/cancel", `{"reason":"why"}`)
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	}
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", "{}").Code)
	require.Equal(t, 1, f.count(t, events+" where type = 'OrderCancelRequested'"))
	require.NotEmpty(t, decode(t, f.get("/v1/orders/1"))["cancelRequestedAt"])
	requireProblem(t, http.StatusUnprocessableEntity, f.postWithKey("a", "/v1/orders/1/cancel", `{"reason":"another"}`))
}

func TestCancel_OnceRefusedIsAConflictAndShownWithTheOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", "{}").Code)
	_, err := f.Pool.Exec(t.Context(), "update orders set status = 'CONFIRMED', cancel_refused = 'completed more than 24h ago'")
	require.NoError(t, err)
	require.Equal(t, "completed more than 24h ago", decode(t, f.get("/v1/orders/1"))["cancelRefused"])
	p := requireProblem(t, http.StatusConflict, f.post("/v1/orders/1/cancel", "{}"))
	require.Contains(t, p.Detail, "completed more than 24h ago")
	require.Equal(t, 1, f.count(t, events+" where type = 'OrderCancelRequested'"))
}
