package app_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/orchestrator/app"
)

// webhook is who is notified; it answers with the status that the test says.
func webhook(t *testing.T, status int) func(*settings) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	return func(c *settings) {
		withToken(c)
		c.Notify = app.NotifyConfig{
			Webhook: config.Secret(server.URL), WebhookSecret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
			Every: 20 * time.Millisecond, After: time.Minute,
		}
	}
}

type notifications struct {
	Notifications []struct{ ID, Subject, SentAt string }
	Next          string
}

func TestNotifications_AreTriedAndListed(t *testing.T) {
	t.Parallel()
	s := startSystem(t, webhook(t, http.StatusNoContent))
	status, body := s.do(http.MethodPost, "/v1/notifications/test", "", token)
	require.Equal(t, http.StatusAccepted, status, body)
	var list notifications
	s.eventually(func() bool {
		require.Equal(t, http.StatusOK, s.get("/v1/notifications", &list))
		return len(list.Notifications) == 1 && list.Notifications[0].SentAt != ""
	}, "the webhook to take it")
	require.Equal(t, "a test", list.Notifications[0].Subject)
	require.Empty(t, list.Next)

	for range 2 {
		status, body = s.do(http.MethodPost, "/v1/notifications/test", "", token)
		require.Equal(t, http.StatusAccepted, status, body)
	}
	seen := map[string]bool{}
	for page, path := 0, "/v1/notifications?limit=2"; path != ""; page++ {
		list = notifications{}
		require.Equal(t, http.StatusOK, s.get(path, &list))
		require.Len(t, list.Notifications, 2-page)
		for _, n := range list.Notifications {
			seen[n.ID] = true
		}
		if path = ""; list.Next != "" {
			path = "/v1/notifications?limit=2&cursor=" + list.Next
		}
	}
	require.Len(t, seen, 3)
	status, _ = s.do(http.MethodPost, "/v1/notifications/test", "", "")
	require.Equal(t, http.StatusUnauthorized, status)
}

// Subjects and errors name sagas, topics and addresses of the inside.
func TestNotifications_NeedATokenOutsideLoopback(t *testing.T) {
	t.Parallel()
	const reader = "a-token-to-read-with"
	s := startSystem(t, func(c *settings) {
		webhook(t, http.StatusFound)(c)
		c.HTTP.Addr, c.ReadTokens = "0.0.0.0:0", []string{"rita=" + reader}
	})
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	s.addr = "127.0.0.1:" + port
	status, body := s.do(http.MethodGet, "/v1/notifications", "", "")
	require.Equal(t, http.StatusUnauthorized, status, body)
	status, body = s.do(http.MethodPost, "/v1/notifications/test", "", reader)
	require.Equal(t, http.StatusUnauthorized, status, body)
	status, body = s.do(http.MethodPost, "/v1/notifications/test", "", token)
	require.Equal(t, http.StatusAccepted, status, body)
	s.eventually(func() bool {
		status, body = s.do(http.MethodGet, "/v1/notifications", "", reader)
		require.Equal(t, http.StatusOK, status, body)
		return strings.Contains(body, "the webhook answered 302 Found")
	}, "the answer of the webhook")
}
