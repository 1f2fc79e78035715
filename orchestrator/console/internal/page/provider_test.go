package page_test

import (
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/oidc"
	"waybill.example/devstack/idp"
)

// withProvider is a console where people of an identity provider sign in.
func withProvider(t *testing.T) (*console, *idp.Provider) {
	t.Helper()
	there := idp.New(t)
	there.ClientSecret = "the-secret-of-the-client"
	c := newConsoleWith(t, admin.Nobody, func(address string) *oidc.Provider {
		there.RedirectURL = address + oidc.BackPath
		config := oidc.Config{
			Issuer: there.URL, Audience: []string{"waybill"}, RoleClaim: "groups", NameClaim: "sub", Roles: []string{"oncall=operator"},
			ClientID: "waybill", ClientSecret: "the-secret-of-the-client", RedirectURL: there.RedirectURL,
		}
		require.Empty(t, config.Validate())
		provider, err := oidc.New(config, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		return provider
	}, "ada="+adminToken)
	return c, there
}

// onward is where a page of ours sends the browser on to.
func onward(t *testing.T, html string) string {
	t.Helper()
	_, rest, found := strings.Cut(html, `content="0;url=`)
	require.True(t, found, html)
	path, _, _ := strings.Cut(rest, `"`)
	return path
}

// The whole way: to the provider with a challenge, back with a code, and on to where one wanted to
// go, with the provider's word for the role.
func TestFrame_PeopleSignInByTheIdentityProvider(t *testing.T) {
	t.Parallel()
	c, there := withProvider(t)
	there.SignInAs(map[string]any{"sub": "ann", "groups": []string{"oncall"}, "much": strings.Repeat("x", 6000)})
	_, html := c.get(t, "/c/sign-in?next=/things/a%3Fx=1")
	require.Contains(t, html, `href="/c/sign-in/oidc?next=%2fthings%2fa%3fx%3d1"`)
	answer, html := c.get(t, "/c/sign-in/oidc?next=/things/a%3Fx=1")
	require.Equal(t, http.StatusOK, answer.StatusCode, html)
	require.Equal(t, "/c/things/a?x=1", onward(t, html))
	for _, cookie := range answer.Cookies() {
		require.True(t, cookie.HttpOnly)
		require.Less(t, len(cookie.Name)+len(cookie.Value), 4000, "a browser drops what is longer")
	}
	_, html = c.get(t, "/c/things/a")
	require.Contains(t, html, "oidc:ann")
	require.Contains(t, html, `hx-post="/c/things/a/retry"`)
	form := url.Values{"reason": {"tkt-1"}, "csrf": {c.csrf(t)}}
	require.Equal(t, http.StatusOK, c.post(t, "/c/things/a/retry", form, nil).StatusCode)
	require.Equal(t, []string{"oidc:ann tkt-1"}, c.done)

	// Out again: no piece of the session is left.
	c.post(t, "/c/sign-out", url.Values{"csrf": {c.csrf(t)}}, nil)
	answer, _ = c.get(t, "/c/things/a")
	require.Equal(t, "/c/sign-in", answer.Request.URL.Path)
	at, err := url.Parse(c.URL + "/c/")
	require.NoError(t, err)
	require.Empty(t, c.client.Jar.Cookies(at))
}

func TestFrame_ASignInIsOfTheBrowserThatBeganIt(t *testing.T) {
	t.Parallel()
	c, there := withProvider(t)
	there.SignInAs(map[string]any{"sub": "ann", "groups": []string{"oncall"}})
	// The way back of another user's sign-in: the browser that is sent there has not begun it.
	var back string
	c.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasSuffix(r.URL.Path, oidc.BackPath) {
			back = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}
	c.get(t, "/c/sign-in/oidc")
	require.NotEmpty(t, back)
	c.client.CheckRedirect = nil
	own := c.client.Jar
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c.client.Jar = jar
	answer, html := c.get(t, back)
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	require.Contains(t, html, "has not begun to sign in here")

	c.client.Jar = own
	answer, html = c.get(t, strings.Replace(back, "state=", "state=x", 1))
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode, html)
	answer, _ = c.get(t, back)
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode, "one try for each way out")
}

func TestFrame_WhoIsRefusedIsNotSignedIn(t *testing.T) {
	t.Parallel()
	c, there := withProvider(t)
	for says, claims := range map[string]map[string]any{
		"did not confirm":                    nil,
		"none of your groups has a role":     {"sub": "ann", "groups": []string{"sales"}},
		"did not confirm the sign-in":        {"sub": "ann", "groups": []string{"oncall"}, "nonce": "of another sign-in"},
		"identity provider did not confirm ": {"sub": "ann", "groups": []string{"oncall"}, "aud": "payroll"},
	} {
		there.SignInAs(claims)
		answer, html := c.get(t, "/c/sign-in/oidc")
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode, says)
		require.Contains(t, html, says)
		answer, _ = c.get(t, "/c/things/a")
		require.Equal(t, "/c/sign-in", answer.Request.URL.Path, says)
	}
	there.Down.Store(true)
	answer, _ := c.get(t, "/c/sign-in")
	require.Equal(t, http.StatusOK, answer.StatusCode, "with a token one can still sign in")
}

func TestFrame_ComingBackGoesToNoOtherHost(t *testing.T) {
	t.Parallel()
	c, there := withProvider(t)
	there.SignInAs(map[string]any{"sub": "ann", "groups": []string{"oncall"}})
	_, html := c.get(t, "/c/sign-in/oidc?next=//evil.example/")
	require.Equal(t, "/c/", onward(t, html))
}
