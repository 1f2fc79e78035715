package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/inventory/stock"
)

// Changes of the stock in any order, with keys and tags that are new, used and out of date, among
// orders that reserve, are answered as the model of the API says, and leave what it says.
func TestAPI_AnswersRandomRequestsLikeItsModel(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	end, failed, checks := time.Now().Add(3*time.Second), false, int64(0)
	rapid.Check(t, func(t *rapid.T) {
		if time.Now().After(end) && !failed {
			return // what failed is made smaller, however long that takes
		}
		defer func() { failed = failed || t.Failed() }()
		checks++
		m := model{
			client: c, skus: []string{fmt.Sprintf("s%d", checks), fmt.Sprintf("饭%d", checks)}, levels: map[string]*level{},
			keys: map[string]used{}, prefix: strconv.FormatInt(checks, 10) + "-", orders: checks << 20,
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": m.set, "move": m.move, "reserve": m.reserve, "get": m.get, "movements": m.movements, "": m.conserves,
		})
	})
}

// model is what the API promises about two skus, of which nothing is known yet.
type model struct {
	*client
	skus   []string
	levels map[string]*level
	keys   map[string]used
	prefix string // of keys, which are as new as the skus
	orders int64  // the id of the last
}

type level struct {
	onHand, reserved int64
	etag, logTag     tag
	log              []logged
}

// tag is what was read last, and what was read of a state before; "" is nothing.
type tag struct{ now, before string }

func (t *tag) changed() {
	if t.now != "" {
		*t = tag{before: t.now}
	}
}

type logged struct {
	kind          string
	delta, onHand int64
}

// used is what a key was used for, and the answer.
type used struct {
	request string
	status  int
	body    string
}

func (m *model) send(t *rapid.T, method, path, body string, headers ...string) (*httptest.ResponseRecorder, map[string]any) {
	w := m.with(method, path, body, headers...)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body)
	return w, answer
}

func (m *model) any(t *rapid.T) (sku, path string, l *level) {
	sku = rapid.SampledFrom(m.skus).Draw(t, "sku")
	return sku, "/v1/stock/" + sku, m.levels[sku]
}

// condition draws an If-Match, and says whether it holds: none does, "*" if there is the sku, the
// present tag, or one of before.
func (m *model) condition(t *rapid.T, exists bool, tag tag) (header string, holds bool) {
	switch rapid.IntRange(0, 5).Draw(t, "condition") {
	case 0:
		return "*", exists
	case 1:
		return `"of-something-else"`, false
	case 2:
		if tag.now != "" {
			return tag.now, true
		}
	case 3:
		if tag.before != "" {
			return tag.before, false
		}
	}
	return "", true
}

func (m *model) set(t *rapid.T) {
	sku, path, l := m.any(t)
	onHand := rapid.Int64Range(0, 5).Draw(t, "onHand")
	if l == nil {
		l = &level{}
	}
	condition, holds := m.condition(t, m.levels[sku] != nil, l.etag)
	status := http.StatusOK
	if m.levels[sku] == nil {
		status = http.StatusCreated
	}
	if !holds {
		status = http.StatusPreconditionFailed
	}
	m.change(t, http.MethodPut, path, fmt.Sprintf(`{"onHand":%d}`, onHand), condition, status, func() {
		m.levels[sku] = l
		l.moved("set", onHand)
	})
}

func (m *model) move(t *rapid.T) {
	_, path, l := m.any(t)
	n := rapid.Int64Range(-4, 4).Filter(func(n int64) bool { return n != 0 }).Draw(t, "n")
	kind := rapid.SampledFrom([]string{"move", "count"}).Draw(t, "kind")
	body := fmt.Sprintf(`{"delta":%d,"reason":"r"}`, n)
	if kind == "count" {
		n += 4
		body = fmt.Sprintf(`{"counted":%d,"reason":"r"}`, n)
	}
	exists := l != nil
	if !exists {
		l = &level{}
	}
	condition, holds := m.condition(t, exists, l.logTag)
	after := n
	status := http.StatusOK
	switch {
	case !exists && condition == "":
		status = http.StatusNotFound
	case !holds:
		status = http.StatusPreconditionFailed
	case kind == "move":
		after = l.onHand + n
	case kind == "count":
		after = n - l.reserved
	}
	if status == http.StatusOK && after < 0 {
		status = http.StatusConflict
	}
	m.change(t, http.MethodPost, path+"/movements", body, condition, status, func() { l.moved(kind, after) })
}

// change sends a change with one of few keys, or none, and does it in the model if it is the first.
func (m *model) change(t *rapid.T, method, path, body, condition string, status int, do func()) {
	key, headers := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "key"), []string(nil)
	if condition != "" {
		headers = append(headers, "If-Match", condition)
	}
	if key != "" {
		headers = append(headers, "Idempotency-Key", m.prefix+key)
	}
	w, _ := m.send(t, method, path, body, headers...)
	request := method + path + body
	before, known := m.keys[key]
	switch {
	case known && before.request != request:
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
	case known:
		require.Equal(t, before.status, w.Code, "the same request, the same answer: %s", w.Body)
		require.Equal(t, before.body, w.Body.String())
	default:
		require.Equal(t, status, w.Code, "%s %s %s: %s", path, body, condition, w.Body)
		if status >= http.StatusBadRequest {
			return
		}
		do()
		if key != "" {
			m.keys[key] = used{request, w.Code, w.Body.String()}
		}
	}
}

func (l *level) moved(kind string, onHand int64) {
	l.log = append(l.log, logged{kind, onHand - l.onHand, onHand})
	l.onHand = onHand
	l.etag.changed()
	l.logTag.changed()
}

// reserve has an order take some, as Kafka would.
func (m *model) reserve(t *rapid.T) {
	sku, _, l := m.any(t)
	if l == nil || l.onHand == 0 {
		return
	}
	n := rapid.Int64Range(1, l.onHand).Draw(t, "n")
	m.orders++
	m.apply(stock.Command{Action: stock.Reserve, OrderID: m.orders, Lines: []stock.Line{{SKU: sku, Quantity: int32(n)}}})
	l.onHand, l.reserved = l.onHand-n, l.reserved+n
	l.etag.changed()
}

func (m *model) get(t *rapid.T) {
	sku, path, l := m.any(t)
	w, answer := m.send(t, http.MethodGet, path, "")
	if l == nil {
		require.Equal(t, http.StatusNotFound, w.Code)
		return
	}
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	delete(answer, "updatedAt")
	require.Equal(t, map[string]any{
		"sku": sku, "onHand": float64(l.onHand), "reserved": float64(l.reserved), "received": float64(l.onHand + l.reserved),
	}, answer)
	l.etag.now = w.Header().Get("ETag")
}

// movements walks the log of a sku by its links.
func (m *model) movements(t *rapid.T) {
	_, path, l := m.any(t)
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	next := fmt.Sprintf("%s/movements?limit=%d", path, limit)
	var found []logged
	for next != "" {
		w, page := m.send(t, http.MethodGet, next, "")
		if l == nil {
			require.Equal(t, http.StatusNotFound, w.Code)
			return
		}
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		if tag := w.Header().Get("ETag"); tag != "" {
			l.logTag.now = tag
		}
		for _, item := range page["movements"].([]any) {
			item := item.(map[string]any)
			found = append([]logged{{item["kind"].(string), int64(item["delta"].(float64)), int64(item["after"].(float64))}}, found...)
		}
		next = strings.TrimSuffix(strings.TrimPrefix(w.Header().Get("Link"), "<"), `>; rel="next"`)
	}
	require.Equal(t, l.log, found)
}

// conserves says that what was received is on hand or reserved, whatever was refused.
func (m *model) conserves(t *rapid.T) {
	for sku, l := range m.levels {
		var onHand, received, moved int64
		require.NoError(t, m.db.Pool.QueryRow(t.Context(), `select on_hand, received, (select sum(delta) from stock_movements m where m.sku = l.sku)
			from stock l where sku = $1`, sku).Scan(&onHand, &received, &moved))
		require.Equal(t, []int64{l.onHand, l.onHand + l.reserved, received}, []int64{onHand, received, moved})
	}
}
