package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/loopback"
)

// A payload is somebody's data. Who reaches the API from elsewhere shows a token to read one;
// counts and ids stay open.
func TestPayloads_NeedATokenOutsideLoopback(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	_, err := p.db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) values ('orders.v1', '1', 'T', '{"userId":"u1"}')`)
	require.NoError(t, err)
	port, err := loopback.FreePort()
	require.NoError(t, err)
	p.start(t, p.db.URL, "HTTP_ADDR=0.0.0.0:"+strconv.Itoa(port), "RELAY_READ_TOKENS=rita=a-token-to-read-with", "RELAY_ADMIN_TOKENS=ada=a-token-to-change-with")
	base := "http://" + loopback.Addr(port)
	await(t, func() bool { status, _ := get(t, base+"/readyz"); return status == http.StatusOK }, "the relay to be ready")

	status, body := get(t, base+"/v1/outbox/orders/rows/1")
	require.Equal(t, http.StatusUnauthorized, status)
	require.NotContains(t, body, "u1")
	for _, path := range []string{"/v1/messages?key=1", "/v1/deliveries?eventId=0199aaaa-0000-7000-8000-000000000000"} {
		status, body = get(t, base+path)
		require.Equal(t, http.StatusUnauthorized, status, "%s: %s", path, body)
	}
	for _, path := range []string{"/v1/outbox", "/v1/sources"} {
		status, _ = get(t, base+path)
		require.Equal(t, http.StatusOK, status, path)
	}
	for token, want := range map[string]int{"a-token-to-read-with": 200, "a-token-to-change-with": 200, "another-token-to-try": 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v1/outbox/orders/rows/1", strings.NewReader(""))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, token)
	}
	status, _ = post(t, base+"/v1/outbox/orders/pause", "a-token-to-read-with", `{}`)
	require.Equal(t, http.StatusUnauthorized, status, "who may read may not change")
}
