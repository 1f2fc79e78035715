package app_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a saga carries is the data of customers. Who reaches the API from elsewhere shows a token to
// read it; the list of sagas stays open.
func TestSagas_NeedATokenOutsideLoopback(t *testing.T) {
	t.Parallel()
	const reader = "a-token-to-read-with"
	s := startSystem(t, func(c *settings) {
		withToken(c)
		c.HTTP.Addr = "0.0.0.0:0"
		c.ReadTokens = []string{"rita=" + reader}
	})
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	s.addr = "127.0.0.1:" + port
	s.send(created(1))
	s.eventually(func() bool {
		status, _ := s.do(http.MethodGet, "/v1/sagas/1", "", reader)
		return status == http.StatusOK
	}, "a saga")

	for _, path := range []string{"/v1/sagas/1", "/v1/sagas/1/explain", "/v1/sagas/1/stream", "/v1/sagas/2"} {
		for _, bearer := range []string{"", "another-token-to-try"} {
			status, body := s.do(http.MethodGet, path, "", bearer)
			require.Equal(t, http.StatusUnauthorized, status, "%s with %q: %s", path, bearer, body)
			require.NotContains(t, body, "burger")
		}
	}
	for _, bearer := range []string{reader, token} {
		for _, path := range []string{"/v1/sagas/1", "/v1/sagas/1/explain"} {
			status, body := s.do(http.MethodGet, path, "", bearer)
			require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		}
	}
	status, body := s.do(http.MethodGet, "/v1/sagas", "", "")
	require.Equal(t, http.StatusOK, status, body)
	require.NotContains(t, body, "burger")
	require.NotContains(t, body, created(1).UserID)
	status, _ = s.do(http.MethodPost, "/v1/sagas/1/cancel", `{"reason":"to see"}`, reader)
	require.Equal(t, http.StatusUnauthorized, status, "who may read may not change")
}

func TestSagas_AreOffOutsideLoopbackWithoutTokens(t *testing.T) {
	t.Parallel()
	s := startSystem(t, func(c *settings) { c.HTTP.Addr = "0.0.0.0:0" })
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	s.addr = "127.0.0.1:" + port
	status, body := s.do(http.MethodGet, "/v1/sagas/1", "", "")
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, body, "ORCHESTRATOR_READ_TOKENS")
}
