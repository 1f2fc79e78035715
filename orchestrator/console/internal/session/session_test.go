package session_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/session"
)

const token = "a-token-of-some-length"

func tokens(t *testing.T, pairs ...string) admin.Tokens {
	t.Helper()
	all, err := admin.Parse("TEST_TOKENS", pairs)
	require.NoError(t, err)
	return all
}

func manager(t *testing.T, all admin.Tokens, key string) *session.Manager {
	t.Helper()
	m, err := session.New(all, admin.Nobody, "/", key)
	require.NoError(t, err)
	return m
}

// signIn returns the cookie of a new session.
func signIn(t *testing.T, m *session.Manager, request *http.Request) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	require.NoError(t, m.SignIn(w, request, token))
	return w.Result().Cookies()[0]
}

func with(cookie *http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(cookie)
	return r
}

func TestManager_TheTokenMakesTheSession(t *testing.T) {
	t.Parallel()
	m := manager(t, tokens(t, "olga:operator="+token), "")
	cookie := signIn(t, m, httptest.NewRequest(http.MethodPost, "/sign-in", nil))
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.False(t, cookie.Secure, "this request came without TLS")
	require.NotContains(t, cookie.Value, token)

	s := m.Of(with(cookie))
	require.Equal(t, admin.Holder{Name: "olga", Role: admin.Operator}, s.Holder)
	require.Equal(t, token, s.Token)
	require.False(t, m.Of(httptest.NewRequest(http.MethodGet, "/", nil)).SignedIn())

	encrypted := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	encrypted.TLS = &tls.ConnectionState{}
	require.True(t, signIn(t, m, encrypted).Secure)
}

// Instances of one key accept each other's sessions; nobody else's cookie is one.
func TestManager_OnlyTheKeyOpensACookie(t *testing.T) {
	t.Parallel()
	all := tokens(t, "ada="+token)
	cookie := signIn(t, manager(t, all, "one key"), httptest.NewRequest(http.MethodPost, "/", nil))
	require.True(t, manager(t, all, "one key").Of(with(cookie)).SignedIn())
	require.False(t, manager(t, all, "another").Of(with(cookie)).SignedIn())
	require.False(t, manager(t, all, "").Of(with(cookie)).SignedIn())
	for _, value := range []string{"", "no base64!", "AAAA", cookie.Value[:len(cookie.Value)-2], "A" + cookie.Value[1:]} {
		forged := *cookie
		forged.Value = value
		require.False(t, manager(t, all, "one key").Of(with(&forged)).SignedIn(), value)
	}
}

func TestManager_ATokenThatIsTakenAwayEndsItsSessions(t *testing.T) {
	t.Parallel()
	cookie := signIn(t, manager(t, tokens(t, "ada="+token, "bob=another-token-of-length"), "k"), httptest.NewRequest(http.MethodPost, "/", nil))
	require.False(t, manager(t, tokens(t, "bob=another-token-of-length"), "k").Of(with(cookie)).SignedIn())
	demoted := manager(t, tokens(t, "ada:viewer="+token), "k").Of(with(cookie))
	require.Equal(t, admin.Viewer, demoted.Role)
}

func TestManager_ASessionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, tokens(t, "ada="+token), "k")
		cookie := signIn(t, m, httptest.NewRequest(http.MethodPost, "/", nil))
		<-time.After(13 * time.Hour)
		require.True(t, m.Of(with(cookie)).SignedIn())
		<-time.After(2 * time.Hour)
		require.False(t, m.Of(with(cookie)).SignedIn(), "whatever the browser keeps")
	})
}

func TestManager_WrongTokensAreRefusedAndSlowedDown(t *testing.T) {
	t.Parallel()
	m := manager(t, tokens(t, "ada="+token), "")
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for range 20 {
		require.ErrorIs(t, m.SignIn(httptest.NewRecorder(), r, "wrong"), session.ErrUnknown)
	}
	require.ErrorContains(t, m.SignIn(httptest.NewRecorder(), r, token), "too many wrong tokens")
}

func TestManager_AFormIsOfItsSession(t *testing.T) {
	t.Parallel()
	m := manager(t, tokens(t, "ada="+token), "")
	nobody := m.Of(httptest.NewRequest(http.MethodGet, "/", nil))
	ada := m.Of(with(signIn(t, m, httptest.NewRequest(http.MethodPost, "/", nil))))
	require.True(t, m.Genuine(ada, m.CSRF(ada)))
	require.False(t, m.Genuine(ada, m.CSRF(nobody)))
	require.False(t, m.Genuine(ada, ""))
}
