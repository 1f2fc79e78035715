package httpapi_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/inventory/stock"
)

const log = "/v1/stock/rare/movements"

func reserve(order int64, sku string, quantity int32) stock.Command {
	return stock.Command{Action: stock.Reserve, OrderID: order, Lines: []stock.Line{{SKU: sku, Quantity: quantity}}}
}

// entry is a movement without its id, its time and the client.
func entry(kind string, delta, before, after, reserved float64, reason, actor string) map[string]any {
	m := map[string]any{"kind": kind, "delta": delta, "before": before, "after": after, "reserved": reserved, "actor": actor}
	if reason != "" {
		m["reason"] = reason
	}
	return m
}

// logged returns the log of the sku rare, newest first, as entry has it.
func (c *client) logged() (entries []map[string]any) {
	c.t.Helper()
	for path := log + "?limit=2"; path != ""; {
		page := c.get(200, "GET", path, "")
		for _, m := range page["movements"].([]any) {
			m := m.(map[string]any)
			require.NotEmpty(c.t, m["at"])
			require.Equal(c.t, "192.0.2.1", m["client"])
			for _, name := range []string{"id", "at", "client"} {
				delete(m, name)
			}
			entries = append(entries, m)
		}
		path = ""
		if next, more := page["next"].(string); more {
			path = log + "?limit=2&cursor=" + next
		}
	}
	return entries
}

func TestMovements_SayWhoChangedWhatAndWhy(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":10}`)
	c.get(200, "POST", log, `{"delta":50,"reason":"delivery 4711"}`)
	c.apply(reserve(1, "rare", 7))
	c.get(200, "POST", log, `{"counted":55,"reason":"stock-taking"}`)
	c.get(409, "POST", log, `{"delta":-49,"reason":"more than there are"}`)
	c.get(200, "PUT", "/v1/stock/rare", `{"onHand":1,"reason":"what is left"}`)
	require.Equal(t, []map[string]any{
		entry("set", -47, 48, 1, 7, "what is left", "anonymous"),
		entry("count", -5, 53, 48, 7, "stock-taking", "anonymous"),
		entry("move", 50, 10, 60, 0, "delivery 4711", "anonymous"),
		entry("set", 10, 0, 10, 0, "", "anonymous"),
	}, c.logged())
	c.requireLevel(1, 8)
}

// A count is of the shelf: what orders hold is still there, however many came since it was taken.
func TestMove_ACountIsWhatIsReservedAndWhatIsOnHand(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":10}`)
	c.apply(reserve(1, "rare", 4))
	require.InDelta(t, 5, c.get(200, "POST", log, `{"counted":9,"reason":"one is broken"}`)["onHand"], 0)
	c.apply(reserve(2, "rare", 2))
	c.requireLevel(3, 9)
	require.InDelta(t, 3, c.get(200, "POST", log, `{"counted":9,"reason":"again"}`)["onHand"], 0, "the same count is still right")
	require.Zero(t, c.get(200, "POST", log, `{"counted":6,"reason":"none but those of orders"}`)["onHand"])
	refused := c.get(409, "POST", log, `{"counted":5,"reason":"one is gone"}`)
	require.Equal(t, "5 were counted, and 6 are reserved: cancel orders first, or count again", refused["detail"])
	c.requireLevel(0, 6)
}

func TestMove_AddsToWhateverIsThereOncePerKey(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":10}`)
	var clients sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		clients.Go(func() {
			w := c.with("POST", log, `{"delta":50,"reason":"delivery 7"}`, "Idempotency-Key", "delivery 7")
			answers[i] = fmt.Sprint(w.Code, w.Body)
		})
	}
	clients.Wait()
	require.Contains(t, answers[0], "200 ")
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	c.requireLevel(60, 60)
	require.Len(t, c.logged(), 2)
	for _, other := range []string{`{"delta":51,"reason":"delivery 7"}`, `{"counted":50,"reason":"delivery 7"}`, `{"delta":50,"reason":"delivery 8"}`} {
		w := c.with("POST", log, other, "Idempotency-Key", "delivery 7")
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, w.Body)
	}
	c.get(200, "POST", log, `{"delta":-60,"reason":"all"}`)
	theft := func() int {
		return c.with("POST", log, `{"delta":-1,"reason":"theft"}`, "Idempotency-Key", "theft").Code
	}
	require.Equal(t, http.StatusConflict, theft())
	c.get(200, "POST", log, `{"delta":2,"reason":"found"}`)
	require.Equal(t, http.StatusOK, theft(), "what was refused was not done")
	c.requireLevel(1, 1)
}

// An operator counts while orders go on, and must not wipe out the delivery that a colleague has
// posted since.
func TestMove_MayDependOnWhatOthersDidAndNotOnOrders(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":10}`)
	seen := c.with("GET", log, "").Header().Get("ETag")
	require.NotEmpty(t, seen)
	c.apply(reserve(1, "rare", 3))
	first := c.with("POST", log, `{"counted":9,"reason":"stock-taking"}`, "If-Match", seen)
	require.Equal(t, http.StatusOK, first.Code, "a reservation is no reason to count again: %s", first.Body)
	require.Equal(t, http.StatusPreconditionFailed, c.with("POST", log, `{"counted":8,"reason":"another"}`, "If-Match", seen).Code)
	level := c.with("GET", "/v1/stock/rare", "").Header().Get("ETag")
	require.Equal(t, http.StatusPreconditionFailed, c.with("POST", log, `{"delta":1,"reason":"r"}`, "If-Match", level).Code, "the tag of something else")
	require.Equal(t, http.StatusOK, c.with("POST", log, `{"delta":1,"reason":"r"}`, "If-Match", "*").Code)
	require.Equal(t, http.StatusPreconditionFailed, c.with("POST", "/v1/stock/new/movements", `{"delta":1,"reason":"r"}`, "If-Match", "*").Code)
	c.requireLevel(7, 10)
}

func TestSet_ANewSKUSaysWhereItIs(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for path, want := range map[string]string{"/v1/stock/a%20b": "/v1/stock/a%20b", "/v1/stock/%2E%2E": "/v1/stock/%2E%2E", "/v1/stock/a%2Fb": "/v1/stock/a%2Fb"} {
		w := c.with("PUT", path, `{"onHand":1}`)
		require.Equal(t, http.StatusCreated, w.Code)
		require.Equal(t, want, w.Header().Get("Location"))
		require.Equal(t, http.StatusOK, c.do("GET", w.Header().Get("Location"), "").Code)
		require.Empty(t, c.with("PUT", path, `{"onHand":1}`).Header().Get("Location"))
	}
}

func TestSet_AWeakTagNeverMatches(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":1}`)
	tag := c.with("GET", "/v1/stock/rare", "").Header().Get("ETag")
	w := c.with("PUT", "/v1/stock/rare", `{"onHand":2}`, "If-Match", "W/"+tag)
	require.Equal(t, http.StatusPreconditionFailed, w.Code, w.Body)
	require.Equal(t, http.StatusPreconditionFailed, c.with("PUT", "/v1/stock/rare", `{"onHand":2}`, "If-Match", `"*"`).Code, "a tag like any other")
	require.Equal(t, http.StatusBadRequest, c.with("PUT", "/v1/stock/rare", `{"onHand":2}`, "If-Match", strings.Trim(tag, `"`)).Code)
	c.requireLevel(1, 1)
	require.Equal(t, http.StatusOK, c.with("PUT", "/v1/stock/rare", `{"onHand":1}`, "If-Match", `"other", `+tag).Code)
	tag = c.with("GET", "/v1/stock/rare", "").Header().Get("ETag")
	require.Equal(t, http.StatusOK, c.with("PUT", "/v1/stock/rare", `{"onHand":2}`, "If-Match", tag).Code)
}

func TestList_SaysWhatRunsLow(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for i := range 6 {
		c.get(201, "PUT", fmt.Sprintf("/v1/stock/sku%d", i), fmt.Sprintf(`{"onHand":%d}`, 5-i))
	}
	var got []any
	for path := "/v1/stock?below=4&limit=2"; path != ""; {
		page := c.get(200, "GET", path, "")
		for _, l := range page["stock"].([]any) {
			got = append(got, l.(map[string]any)["sku"])
		}
		path = ""
		if next, more := page["next"].(string); more {
			path = "/v1/stock?below=4&limit=2&cursor=" + next
		}
	}
	require.Equal(t, []any{"sku2", "sku3", "sku4", "sku5"}, got)
}

func TestReservations_SayWhoHoldsASKU(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	c.get(201, "PUT", "/v1/stock/rare", `{"onHand":10}`)
	c.get(201, "PUT", "/v1/stock/other", `{"onHand":10}`)
	both := stock.Command{Action: stock.Reserve, OrderID: 4, Lines: []stock.Line{{SKU: "other", Quantity: 1}, {SKU: "rare", Quantity: 3}}}
	c.apply(
		reserve(1, "rare", 2), reserve(2, "other", 1), reserve(3, "rare", 100), both, reserve(5, "rare", 1), reserve(6, "rare", 1),
		stock.Command{Action: stock.Release, OrderID: 5},
	)
	var got []string
	for path := "/v1/stock/rare/reservations?limit=1"; path != ""; {
		page := c.get(200, "GET", path, "")
		for _, r := range page["reservations"].([]any) {
			r := r.(map[string]any)
			require.NotEmpty(t, r["since"])
			got = append(got, fmt.Sprint(r["orderId"], " has ", r["quantity"]))
		}
		path = ""
		if next, more := page["next"].(string); more {
			path = "/v1/stock/rare/reservations?limit=1&cursor=" + next
		}
	}
	require.Equal(t, []string{"6 has 1", "4 has 3", "1 has 2"}, got)
}

// With tokens, changes need one and the log has its holder; reading does not.
func TestChange_NeedsATokenWhereThereAreSome(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	const token = "a-token-of-some-length"
	c.handler = serve(t, c.store, slog.New(slog.DiscardHandler), "ada="+token)
	for _, request := range [][]string{{"PUT", "/v1/stock/rare", `{"onHand":5}`}, {"POST", log, `{"delta":5,"reason":"r"}`}} {
		require.Equal(t, http.StatusUnauthorized, c.with(request[0], request[1], request[2]).Code)
		w := c.with(request[0], request[1], request[2], "Authorization", "Bearer "+token, "User-Agent", "curl/8\x1b[2J "+strings.Repeat("x", 300))
		require.Less(t, w.Code, 300, w.Body)
		var changed struct {
			Movement struct{ Actor, Client string }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &changed))
		require.Equal(t, "ada", changed.Movement.Actor)
		require.True(t, strings.HasPrefix(changed.Movement.Client, `192.0.2.1 curl/8\u001b[2J xxx`), changed.Movement.Client)
		require.Less(t, len(changed.Movement.Client), 210)
	}
	require.Equal(t, http.StatusOK, c.do("GET", "/v1/stock/rare", "").Code)
}
