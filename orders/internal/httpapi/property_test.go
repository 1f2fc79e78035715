package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Requests in any order, with keys that come again for the same and for other requests, are
// answered as the model of the API says, and leave what it says.
func TestAPI_AnswersRandomRequestsLikeItsModel(t *testing.T) {
	t.Parallel()
	f := start(t)
	end, failed, clients := time.Now().Add(3*time.Second), false, 0
	rapid.Check(t, func(t *rapid.T) {
		if time.Now().After(end) && !failed {
			return // what failed is made smaller, however long that takes
		}
		defer func() { failed = failed || t.Failed() }()
		clients++
		m := model{fixture: f, keys: map[[2]string]claim{}, users: []string{fmt.Sprintf("u%d", clients), fmt.Sprintf("ü %d", clients)}}
		t.Repeat(map[string]func(*rapid.T){
			"place": m.place, "cancel": m.cancel, "settle": m.settle, "get": m.get, "list": m.list, "": m.tellsOnce,
		})
	})
}

// model is what the API promises to two users, of whom nothing is known yet.
type model struct {
	fixture
	users  []string
	orders []*placed // as they were placed
	keys   map[[2]string]claim
	asked  int // requests to cancel that were passed on
}

type placed struct {
	draft
	id              int64
	status, refused string
	asked           bool
}

type draft struct {
	UserID   string `json:"userId"`
	SKU      string `json:"sku,omitempty"`
	Quantity int    `json:"quantity,omitempty"`
	Items    []line `json:"items,omitempty"`
	Note     string `json:"note"`
}

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// order is the draft as every form of it is shown: one line in the single form.
func (d draft) order() draft {
	if len(d.Items) == 1 {
		d.SKU, d.Quantity, d.Items = d.Items[0].SKU, d.Items[0].Quantity, nil
	}
	return d
}

// repeats reports whether two lines are of one sku, which is refused.
func (d draft) repeats() bool {
	skus := map[string]bool{}
	for _, l := range d.Items {
		skus[l.SKU] = true
	}
	return len(skus) < len(d.Items)
}

// claim is what a key of a user was used for.
type claim struct {
	request string
	id      int64
}

func (m *model) send(t *rapid.T, method, path, key, body string) (*httptest.ResponseRecorder, map[string]any) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := m.do(r)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	return w, answer
}

var anyKey = rapid.SampledFrom([]string{"", "a", "b", "c"})

var anyLine = rapid.Custom(func(t *rapid.T) line {
	return line{rapid.SampledFrom([]string{"burger", "cola", "饭/.."}).Draw(t, "sku"), rapid.IntRange(1, 2).Draw(t, "quantity")}
})

func (m *model) place(t *rapid.T) {
	d := draft{UserID: rapid.SampledFrom(m.users).Draw(t, "user"), Note: rapid.SampledFrom([]string{"", "note"}).Draw(t, "note")}
	if rapid.Bool().Draw(t, "single") {
		l := anyLine.Draw(t, "line")
		d.SKU, d.Quantity = l.SKU, l.Quantity
	} else {
		d.Items = rapid.SliceOfN(anyLine, 1, 3).Draw(t, "items")
	}
	key := anyKey.Draw(t, "key")
	body, err := json.Marshal(d)
	require.NoError(t, err)
	w, answer := m.send(t, http.MethodPost, "/v1/orders", key, string(body))
	if d.repeats() {
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
		return
	}
	d = d.order()
	request := fmt.Sprintf("place %+v", d)
	used, known := m.keys[[2]string{d.UserID, key}]
	if known && used.request != request {
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
		return
	}
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	id := int64(answer["id"].(float64))
	require.Equal(t, fmt.Sprintf("/v1/orders/%d", id), w.Header().Get("Location"))
	if known {
		require.Equal(t, used.id, id, "one order, however often it is asked for")
		return
	}
	if len(m.orders) > 0 {
		require.Greater(t, id, m.orders[len(m.orders)-1].id)
	}
	m.orders = append(m.orders, &placed{draft: d, id: id, status: "PENDING"})
	if key != "" {
		m.keys[[2]string{d.UserID, key}] = claim{request, id}
	}
}

// any is an order that there is, or nil.
func (m *model) any(t *rapid.T) *placed {
	if i := rapid.IntRange(-1, len(m.orders)-1).Draw(t, "order"); i >= 0 {
		return m.orders[i]
	}
	return nil
}

func (m *model) cancel(t *rapid.T) {
	reason, key, o := rapid.SampledFrom([]string{"why", "why not"}).Draw(t, "reason"), anyKey.Draw(t, "key"), m.any(t)
	id := int64(1 << 60)
	if o != nil {
		id = o.id
	}
	w, _ := m.send(t, http.MethodPost, fmt.Sprintf("/v1/orders/%d/cancel", id), key, `{"reason":"`+reason+`"}`)
	if o == nil {
		require.Equal(t, http.StatusNotFound, w.Code, w.Body)
		return
	}
	at, request := [2]string{o.UserID, key}, fmt.Sprintf("cancel %d %s", id, reason)
	used, known := m.keys[at]
	if known && used.request != request {
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
		return
	}
	if key != "" {
		m.keys[at] = claim{request, id}
	}
	if !known && o.status != "CANCELLED" && !o.asked {
		o.asked = true
		m.asked++
	}
	switch {
	case o.status == "CANCELLED":
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	case o.refused != "":
		require.Equal(t, http.StatusConflict, w.Code, w.Body)
	default:
		require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	}
}

// settle is the saga, which decides about an order or refuses to cancel it.
func (m *model) settle(t *rapid.T) {
	o := m.any(t)
	switch {
	case o == nil || o.status == "CANCELLED" || o.refused != "":
		return
	case o.status == "PENDING":
		o.status = rapid.SampledFrom([]string{"CONFIRMED", "CANCELLED"}).Draw(t, "status")
	case o.asked:
		o.refused = "too late"
	}
	_, err := m.Pool.Exec(t.Context(), `update orders set status = $2::text, cancel_refused = nullif($3, ''),
		reason = case when $2::text = 'CANCELLED' then 'why' end where id = $1`, o.id, o.status, o.refused)
	require.NoError(t, err)
}

func (m *model) get(t *rapid.T) {
	o := m.any(t)
	if o == nil {
		w, _ := m.send(t, http.MethodGet, fmt.Sprintf("/v1/orders/%d", int64(1<<60)), "", "")
		require.Equal(t, http.StatusNotFound, w.Code)
		return
	}
	w, answer := m.send(t, http.MethodGet, fmt.Sprintf("/v1/orders/%d", o.id), "", "")
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, o.shown(), without(answer))
}

// shown is an order in an answer, without its instants.
func (o *placed) shown() map[string]any {
	m := map[string]any{"id": float64(o.id), "userId": o.UserID, "note": o.Note, "status": o.status, "asked": o.asked}
	if len(o.Items) == 0 {
		m["sku"], m["quantity"] = o.SKU, float64(o.Quantity)
	} else {
		var items []any
		for _, l := range o.Items {
			items = append(items, map[string]any{"sku": l.SKU, "quantity": float64(l.Quantity)})
		}
		m["items"] = items
	}
	if o.refused != "" {
		m["cancelRefused"] = o.refused
	}
	if o.status == "CANCELLED" {
		m["reason"] = "why"
	}
	return m
}

func without(answer map[string]any) map[string]any {
	_, answer["asked"] = answer["cancelRequestedAt"]
	for _, instant := range []string{"cancelRequestedAt", "createdAt", "updatedAt"} {
		delete(answer, instant)
	}
	return answer
}

// list walks the pages of a filter by their links.
func (m *model) list(t *rapid.T) {
	user, status := rapid.SampledFrom(m.users).Draw(t, "user"), rapid.SampledFrom([]string{"", "PENDING", "CANCELLED"}).Draw(t, "status")
	limit := rapid.IntRange(1, 5).Draw(t, "limit")
	path := fmt.Sprintf("/v1/orders?limit=%d&userId=%s", limit, url.QueryEscape(user))
	if status != "" {
		path += "&status=" + status
	}
	var want, found []map[string]any
	for i := range slices.Backward(m.orders) {
		if o := m.orders[i]; o.UserID == user && (status == "" || o.status == status) {
			want = append(want, o.shown())
		}
	}
	for path != "" {
		w, page := m.send(t, http.MethodGet, path, "", "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		items := page["orders"].([]any)
		require.LessOrEqual(t, len(items), limit)
		for _, item := range items {
			found = append(found, without(item.(map[string]any)))
		}
		path = strings.TrimSuffix(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
		require.Equal(t, path != "", page["next"] != nil)
	}
	require.Equal(t, want, found)
}

// tellsOnce compares the outbox: one event for each order, and one for each that is to be
// cancelled.
func (m *model) tellsOnce(t *rapid.T) {
	var created, asked int
	keys := make([]string, len(m.orders))
	for i, o := range m.orders {
		keys[i] = strconv.FormatInt(o.id, 10)
	}
	require.NoError(t, m.Pool.QueryRow(t.Context(), `select count(*) filter (where type = 'OrderCreated'),
		count(*) filter (where type = 'OrderCancelRequested') from outbox where key = any($1)`, keys).Scan(&created, &asked))
	require.Equal(t, []int{len(m.orders), m.asked}, []int{created, asked})
}
