package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/internal/explain"
)

// serve answers each path with a status and a body, and everything else with 404.
func serve(t *testing.T, status int, answers map[string]string) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range answers {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func peer(url string) *apiclient.Client {
	client := apiclient.Peer(url, "", "service", "SERVICE")
	return &client
}

func relayWith(url, token string) relayClient {
	client := apiclient.Peer(url, token, "relay", "RELAY")
	return relayClient{&client}
}

// frozen takes connections, and answers nothing.
func frozen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	return "http://" + listener.Addr().String()
}

// while is how long was waited, which a machine with much else to do makes longer.
var while = regexp.MustCompile(`within [0-9.]+m?s:`)

// Stopped, frozen, unhealthy and healthy are four things, and a person does something else about
// each. None of them is an error of explain, and each is known within its time.
func TestServices_SaysWhatIsWrongWithEach(t *testing.T) {
	t.Parallel()
	hangs := frozen(t)
	other := serve(t, 200, map[string]string{"/readyz": "<html>"})
	for name, tt := range map[string]struct{ url, failed, unhealthy string }{
		"healthy":     {serve(t, 200, map[string]string{"/readyz": `{"checks":{"kafka":"ok","postgres":"ok"}}`}), "", ""},
		"not minding": {serve(t, 200, map[string]string{"/readyz": `{"checks":{"kafka":"no broker answers","postgres":"ok"}}`}), "", "kafka: no broker answers"},
		"unhealthy":   {serve(t, 503, map[string]string{"/readyz": `{"checks":{"consumer":"blocked for 5 s","kafka":"down"}}`}), "", "consumer: blocked for 5 s; kafka: down"},
		"another":     {other, "the answer of " + other + " is not as expected", ""},
		"stopped":     {"http://127.0.0.1:1/", "nothing listens at http://127.0.0.1:1", ""},
		"frozen":      {hangs, "no answer from " + hangs + " within a while: it is frozen, overloaded or cut off", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if tt.url == hangs {
				ctx, cancel = context.WithTimeout(t.Context(), timeout)
			}
			defer cancel()
			c := Collector{Inventory: peer(tt.url)}
			services := c.services(ctx, "17")
			require.Len(t, services, 1)
			require.Equal(t, "inventory", services[0].Name)
			require.Equal(t, tt.failed, while.ReplaceAllString(services[0].Error, "within a while:"))
			require.Equal(t, tt.unhealthy, services[0].Unhealthy)
		})
	}
}

func TestServices_SayWhatTheyKnowOfAnOrder(t *testing.T) {
	t.Parallel()
	const order = `{"id":17,"userId":"u1","sku":"burger","quantity":2,"note":"","status":"CANCELLED","reason":"no stock","createdAt":"2026-01-02T10:03:00Z","updatedAt":"2026-01-02T10:04:00Z"}`
	c := Collector{
		Orders:    peer(serve(t, 200, map[string]string{"/readyz": `{"checks":{}}`, "/v1/orders/17": order})),
		Inventory: peer(serve(t, 200, map[string]string{"/readyz": `{"checks":{}}`})), // and no reservation
	}
	at := time.Date(2026, 1, 2, 10, 3, 0, 0, time.UTC)
	require.Equal(t, []explain.Service{{
		Name: "orders", URL: c.Orders.URL(), Facts: []explain.Fact{
			{At: at, Kind: explain.Accepted, What: "order accepted over HTTP: 2 × burger for u1"},
			{At: at.Add(time.Minute), Kind: explain.Became, What: "order became CANCELLED: no stock"},
		},
	}, {Name: "inventory", URL: c.Inventory.URL()}}, c.services(t.Context(), "17"))
}

// 007 is the saga of nobody's order 7, and Orders is asked for no order that there cannot be.
func TestServices_AreAskedForOrdersThatThereCanBe(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		fmt.Fprint(w, `{"status":"PENDING","checks":{}}`)
	}))
	t.Cleanup(server.Close)
	c := Collector{Orders: peer(server.URL)}
	for _, id := range []string{"007", "+7", "0", "-7", "9223372036854775808", "7.0", "trip-7"} {
		require.Equal(t, []explain.Service{{Name: "orders", URL: server.URL}}, c.services(t.Context(), id), id)
	}
	require.NotEmpty(t, c.services(t.Context(), "7")[0].Error)
}

// The relay wants a token outside of loopback; one that it refuses is named, and not shown.
func TestRelay_IsShownTheTokenAndNoOtherAddressIs(t *testing.T) {
	t.Parallel()
	var elsewhere http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = r.Header }))
	t.Cleanup(other.Close)
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer a-token-to-read-with":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"detail":"send a token of RELAY_READ_TOKENS"}`)
		}
	}))
	t.Cleanup(relay.Close)
	_, err := relayWith(relay.URL, "another-token-to-try").messages(t.Context(), "17", false)
	require.EqualError(t, err, "send a token of RELAY_READ_TOKENS; set RELAY_READ_TOKEN for the service that asks")
	_, err = relayWith(relay.URL, "a-token-to-read-with").messages(t.Context(), "17", false)
	require.ErrorContains(t, err, "the relay answered 307")
	require.Nil(t, elsewhere)
}

// However many messages per order has, the relay is asked for no more at a time than it takes.
func TestRelay_IsAskedForManyDeliveriesInParts(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := r.URL.Query()["eventId"]
		if len(ids) > maxEvents {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		deliveries := make([]map[string]any, len(ids))
		for i, id := range ids {
			deliveries[i] = map[string]any{"eventId": id, "consumer": "c", "handledAt": time.Now()}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"databases": []any{map[string]any{"database": "orders", "deliveries": deliveries}}})
	}))
	t.Cleanup(server.Close)
	ids := make([]uuid.UUID, 2*maxEvents+1)
	for i := range ids {
		ids[i] = uuid.New()
	}
	all, err := relayWith(server.URL, "").deliveries(t.Context(), ids)
	require.NoError(t, err)
	require.Len(t, all["orders"], len(ids))
}
