package locks_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/config"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/locks"
)

// Who may read sees the session and its statement; who may change one thing may end it, and says
// why.
func TestAPI_EndsASessionThatWasLookedAt(t *testing.T) {
	t.Parallel()
	s := newService(t)
	tokens, err := admin.Parse("TOKENS", config.Secrets{"olga:operator=operator-battery-staple", "vic:viewer=viewer-battery-staple"})
	require.NoError(t, err)
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Shop", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	(&locks.API{Watch: s.watch, Tokens: tokens, Readers: &tokens}).Register(httpserver.Operations{API: server.API, Log: slog.New(slog.DiscardHandler)})
	ask := func(method, path, token, body string) (int, string) {
		t.Helper()
		request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		server.Router.ServeHTTP(answer, request)
		return answer.Code, answer.Body.String()
	}
	s.hold(s.login.String())
	s.wait()
	status, body := ask(http.MethodGet, "/v1/locks", "viewer-battery-staple", "")
	require.Equal(t, http.StatusForbidden, status, body)
	status, body = ask(http.MethodGet, "/v1/locks", "operator-battery-staple", "")
	require.Equal(t, http.StatusOK, status, body)
	var found struct{ Holders []locks.LockHolder }
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	require.Len(t, found.Holders, 1)
	end := func(token, reason string) (int, string) {
		return ask(http.MethodPost, fmt.Sprintf("/v1/locks/%d/end", found.Holders[0].PID), token,
			fmt.Sprintf(`{"transaction":%q,"reason":%q}`, found.Holders[0].Transaction, reason))
	}
	status, body = end("viewer-battery-staple", "because")
	require.Equal(t, http.StatusForbidden, status, body)
	status, body = end("operator-battery-staple", "")
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
	status, body = end("operator-battery-staple", "she went home")
	require.Equal(t, http.StatusOK, status, body)
	status, body = end("operator-battery-staple", "twice")
	require.Equal(t, http.StatusConflict, status, body)
}
