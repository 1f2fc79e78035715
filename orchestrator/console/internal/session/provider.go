package session

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/oidc"
)

// awayCookie is what a browser keeps while it is at the identity provider, and awayFor how long it
// has to come back.
const (
	awayCookie = "waybill_sign_in"
	awayFor    = 10 * time.Minute
)

// Errors of a browser that comes back from the identity provider.
var (
	ErrNotAway = errors.New("this browser has not begun to sign in here, or too long ago: begin again")
	ErrNoRole  = errors.New("the identity provider knows you, and none of your groups has a role here")
)

// Leave returns where at the identity provider a browser signs in, and has it remember where it
// wanted to go.
func (m *Manager) Leave(w http.ResponseWriter, r *http.Request, next string) (string, error) {
	away := oidc.SignIn{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: m.now().Add(awayFor)}
	address, err := m.Provider.URL(r.Context(), away)
	if err != nil {
		return "", err
	}
	value, err := m.sealed(away, awayCookie)
	if err != nil {
		return "", err
	}
	m.away(w, r, value, int(awayFor.Seconds()))
	return address, nil
}

// Return begins the session of a browser that comes back, and returns where it wanted to go.
func (m *Manager) Return(w http.ResponseWriter, r *http.Request) (next string, err error) {
	m.away(w, r, "", -1) // once
	cookie, err := r.Cookie(awayCookie)
	var away oidc.SignIn
	if err != nil || !m.open(cookie.Value, awayCookie, &away) || m.now().After(away.Until) {
		return "", ErrNotAway
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(away.State)) != 1 {
		return "", ErrNotAway
	}
	if q.Get("code") == "" {
		return "", oidc.ErrRefused
	}
	token, err := m.Provider.Redeem(r.Context(), away, q.Get("code"))
	if err != nil {
		return "", err
	}
	who, err := m.tokens.Check(r.Context(), r.RemoteAddr, "Bearer "+token, "sign-in")
	if err != nil {
		return "", err
	}
	if who.Role < admin.Viewer {
		return "", ErrNoRole
	}
	return away.Next, m.begin(w, r, token)
}

// away sets the cookie. It has to come along when the provider sends the browser back, which is a
// navigation from another site: Lax.
func (m *Manager) away(w http.ResponseWriter, r *http.Request, value string, age int) {
	m.cookie(w, r, &http.Cookie{ //nolint:gosec // see cookie
		Name: awayCookie, Value: value, Path: strings.TrimSuffix(m.path, "/") + "/sign-in/oidc", MaxAge: age, SameSite: http.SameSiteLaxMode,
	})
}
