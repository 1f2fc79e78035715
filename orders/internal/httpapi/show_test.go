package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func decode(t *testing.T, w *httptest.ResponseRecorder) (v map[string]any) {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

func TestGet_AMalformedIDIsNotAnUnknownOne(t *testing.T) {
	t.Parallel()
	f := start(t)
	for id, status := range map[string]int{
		"1": 404, "9223372036854775807": 404,
		"0": 400, "-1": 400, "+1": 400, "one": 400, "1.0": 400, "0x1": 400, "9223372036854775808": 400,
		"%20": 400, "%00": 400, "%ff": 400, "1%2F2": 400, "1'--": 400, strings.Repeat("9", 2_000): 400,
	} {
		requireProblem(t, status, f.get("/v1/orders/"+id))
		requireProblem(t, status, f.post("/v1/orders/"+id+"/cancel", "{}"))
	}
	require.Zero(t, f.count(t, events))
}

// page is what the list answers.
type page struct {
	Orders []struct {
		ID             int64
		Status, UserID string
	}
	Next string
}

func (f fixture) list(t *testing.T, query string) page {
	t.Helper()
	w := f.get("/v1/orders" + query)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var p page
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	return p
}

func (p page) ids() []int64 {
	ids := make([]int64, len(p.Orders))
	for i, o := range p.Orders {
		ids[i] = o.ID
	}
	return ids
}

func TestList_AnEmptyListHasNoNext(t *testing.T) {
	t.Parallel()
	require.JSONEq(t, `{"orders":[]}`, start(t).get("/v1/orders").Body.String())
}

func TestList_ShowsEachOrderOnceNewestFirstThoughOthersAreBeingPlaced(t *testing.T) {
	t.Parallel()
	f := start(t)
	var want []int64
	for range 25 {
		want = append(want, f.place(t, burger))
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 7, 24, 25, 26, 200} {
		var got []int64
		for query := fmt.Sprintf("?userId=u1&limit=%d", limit); ; {
			p := f.list(t, query)
			got = append(got, p.ids()...)
			if p.Next == "" {
				break
			}
			query = fmt.Sprintf("?userId=u1&limit=%d&cursor=%s", limit, p.Next)
			f.place(t, `{"userId":"other","sku":"s","quantity":1}`)
		}
		require.Equal(t, want, got, "limit %d", limit)
	}
}

func TestList_FiltersByStatusAndUser(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, user := range []string{"a", "b", "a", "b", "a&b"} {
		f.place(t, encode(t, map[string]any{"userId": user, "sku": "s", "quantity": 1}))
	}
	_, err := f.Pool.Exec(t.Context(), `
update orders set status = case when id = 1 then 'CONFIRMED' else 'CANCELLED' end,
                  reason = case when id = 2 then 'sold out' end
where id in (1, 2)`)
	require.NoError(t, err)
	require.Equal(t, []int64{5, 4, 3}, f.list(t, "?status=PENDING").ids())
	require.Equal(t, []int64{2}, f.list(t, "?status=CANCELLED").ids())
	require.Equal(t, []int64{3, 1}, f.list(t, "?userId=a").ids())
	require.Equal(t, []int64{1}, f.list(t, "?userId=a&status=CONFIRMED").ids())
	require.Equal(t, []int64{5}, f.list(t, "?userId="+url.QueryEscape("a&b")).ids())
	require.Empty(t, f.list(t, "?userId=nobody").ids())
	for _, empty := range []string{"?userId=", "?userId", "?status=", "?cursor=", "?limit="} {
		requireProblem(t, http.StatusUnprocessableEntity, f.get("/v1/orders"+empty)) // not everybody's orders
	}
	require.Equal(t, "sold out", decode(t, f.get("/v1/orders/2"))["reason"])
	require.NotContains(t, decode(t, f.get("/v1/orders/1")), "reason")
}

// One row with a time that no client could read keeps nobody from the others.
func TestList_SurvivesTimesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	pool, err := chassispg.Open(t.Context(), chassispg.Config{URL: config.Secret(db.URL)}, "orders")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	f := on(t, &pgtest.Database{URL: db.URL, Pool: pool})
	for range 3 {
		f.place(t, burger)
	}
	_, err = f.Pool.Exec(t.Context(), `update orders set created_at = 'infinity', updated_at = '-infinity' where id = 1;
		update orders set created_at = '294276-12-31', updated_at = '0044-03-15 BC' where id = 2`)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 2, 1}, f.list(t, "").ids())
	require.Equal(t, "9999-12-31T23:59:59.999999Z", decode(t, f.get("/v1/orders/1"))["createdAt"])
	require.Equal(t, "0001-01-01T00:00:00Z", decode(t, f.get("/v1/orders/2"))["updatedAt"])
}

func TestList_HasAPageLengthOfFifty(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.Pool.Exec(t.Context(), "insert into orders (user_id, sku, quantity) select 'u', 's', 1 from generate_series(1, 300)")
	require.NoError(t, err)
	require.Len(t, f.list(t, "").Orders, 50)
	require.Len(t, f.list(t, "?limit=200").Orders, 200)
}

func TestList_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	for query, status := range map[string]int{
		"cursor=x": 422, "cursor=AAAAAAAAAAA": 422, "cursor=MA": 422, "cursor=NDcxMQA": 422, "cursor=%ff": 400,
		"limit=0": 422, "limit=-1": 422, "limit=501": 422, "limit=ten": 422, "limit=1.5": 422,
		"status=pending": 422, "status=DONE": 422, "status=%00": 400,
		"userId=%00": 400, "userId=%ff": 400, "userId=" + strings.Repeat("x", 129): 422,
		"state=PENDING": 422,
	} {
		requireProblem(t, status, f.get("/v1/orders?"+query))
	}
}

func TestCancel_AsksTheSagaAndChangesNothingByItself(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	w := f.post("/v1/orders/1/cancel", `{"reason":"changed my mind"}`)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Contains(t, w.Body.String(), `"status":"PENDING"`)

	var topic, key, kind, payload string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "select topic, key, type, convert_from(payload, 'UTF8') from outbox order by id desc limit 1").
		Scan(&topic, &key, &kind, &payload))
	require.Equal(t, []string{"orders.v1", "1", "OrderCancelRequested"}, []string{topic, key, kind})
	require.Contains(t, payload, `"orderId":1,"reason":"changed my mind"}`)
}

func TestCancel_NeedsNoBodyAndNoContentType(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	require.Equal(t, http.StatusAccepted, f.do(httptest.NewRequest(http.MethodPost, "/v1/orders/1/cancel", nil)).Code)
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", "").Code)
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", "{}").Code)
	require.Equal(t, 1, f.count(t, events+` where convert_from(payload, 'UTF8') like '%"reason":"cancelled on request"%'`))

	require.Len(t, requireProblem(t, 400, f.post("/v1/orders/1/cancel", `{"reason":"a\u0000b"}`)).Errors, 1)
	require.Len(t, requireProblem(t, 422, f.post("/v1/orders/1/cancel", `{"reason":"`+strings.Repeat("x", 1001)+`"}`)).Errors, 1)
	requireProblem(t, 422, f.post("/v1/orders/1/cancel", `{"why":"x"}`))
	requireProblem(t, 413, f.post("/v1/orders/1/cancel", `{"reason":"`+strings.Repeat("x", 64<<10)+`"}`))
}

func TestCancel_LeavesACancelledOrderAlone(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.place(t, burger)
	_, err := f.Pool.Exec(t.Context(), "update orders set status = 'CANCELLED', reason = 'sold out'")
	require.NoError(t, err)
	w := f.post("/v1/orders/1/cancel", `{"reason":"again"}`)
	require.Equal(t, "sold out", decode(t, w)["reason"])
	require.Equal(t, 1, f.count(t, events), "the OrderCreated alone")
}

// withinTwoSeconds asks once more where the answer was late: a machine with much else to do is slow
// now and then, and a deadline that is too long is so each time.
func withinTwoSeconds(t *testing.T, ask func() *httptest.ResponseRecorder) (w *httptest.ResponseRecorder) {
	t.Helper()
	var took time.Duration
	for range 3 {
		began := time.Now()
		w = ask()
		if took = time.Since(began); took < 2*time.Second {
			break
		}
	}
	require.Less(t, took, 2*time.Second)
	return w
}

// A database that is down is answered with 503 and Retry-After within two seconds, and a request
// that failed leaves neither an order nor an event behind.
func TestAPI_ADatabaseThatIsDownIsA503WithinTwoSeconds(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	f := on(t, server.New(t, migrations.Outbox, migrations.Orders))
	f.place(t, burger)
	require.NoError(t, server.Stop())
	for _, ask := range []func() *httptest.ResponseRecorder{
		func() *httptest.ResponseRecorder { return f.post("/v1/orders", burger) },
		func() *httptest.ResponseRecorder { return f.post("/v1/orders/1/cancel", "{}") },
		func() *httptest.ResponseRecorder { return f.get("/v1/orders/1") },
		func() *httptest.ResponseRecorder { return f.get("/v1/orders") },
	} {
		w := withinTwoSeconds(t, ask)
		requireProblem(t, http.StatusServiceUnavailable, w)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool { return f.get("/v1/orders/1").Code == http.StatusOK }, time.Minute, 20*time.Millisecond)
	require.Equal(t, []int{1, 1}, []int{f.count(t, orders), f.count(t, events)})
	f.place(t, burger)
}

// A statement that hangs is given up in time too.
func TestAPI_ADatabaseThatHangsIsA503WithinTwoSeconds(t *testing.T) {
	t.Parallel()
	f := start(t)
	tx, err := f.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table outbox in access exclusive mode")
	require.NoError(t, err)
	w := withinTwoSeconds(t, func() *httptest.ResponseRecorder { return f.post("/v1/orders", burger) })
	requireProblem(t, http.StatusServiceUnavailable, w)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Zero(t, f.count(t, orders)+f.count(t, events))
}

func TestDocument_DescribesTheAPIWithExamplesThatWork(t *testing.T) {
	t.Parallel()
	f := start(t)
	w := f.get("/openapi.json")
	for _, part := range []string{
		`"/v1/orders"`, `"/v1/orders/{id}"`, `"/v1/orders/{id}/cancel"`,
		`"200"`, `"202"`, `"400"`, `"404"`, `"413"`, `"415"`, `"422"`, `"503"`,
		`"maxLength":128`, `"maxLength":1000`, `"maximum":1000000`,
	} {
		require.Contains(t, w.Body.String(), part)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Examples []any }
			}
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	example := func(schema string) string {
		body := map[string]any{}
		for name, property := range document.Components.Schemas[schema].Properties {
			if len(property.Examples) > 0 {
				body[name] = property.Examples[0]
			}
		}
		require.NotEmpty(t, body)
		return encode(t, body)
	}
	require.JSONEq(t, burger, example("Draft"))
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders", example("Draft")).Code)
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders/1/cancel", example("Cancellation")).Code)
	var next struct{ Next string }
	require.NoError(t, json.Unmarshal([]byte(example("Page")), &next))
	require.Equal(t, []int64{1}, f.list(t, "?cursor="+next.Next).ids())
}
