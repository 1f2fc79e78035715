// Package session is who looks at the console: a person who signed in with a token, or nobody. A
// session is the token itself, encrypted in a cookie, so that no instance keeps anything, the
// operator's own token can be passed on to each service, and a token that is taken from the
// settings ends its sessions.
package session

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/oidc"
)

// cookieName is the session's cookie, and lifetime how long it lasts: a shift, and some.
const (
	cookieName = "waybill_console"
	lifetime   = 14 * time.Hour
)

// Session is who makes a request. The zero value is nobody.
type Session struct {
	admin.Holder
	// Token is what the services are shown; empty: nobody has signed in.
	Token string
	// Client is the address that the request came from, without the port.
	Client string
	cookie string
}

// SignedIn reports whether anyone has.
func (s Session) SignedIn() bool { return s.Token != "" }

// Manager reads and writes sessions. It is safe for concurrent use.
type Manager struct {
	tokens  admin.Tokens
	nobody  admin.Role // what those may who have not signed in
	path    string
	seal    cipher.AEAD
	csrfKey []byte
	now     func() time.Time

	// Provider is where people can sign in with a browser; nil: nowhere.
	Provider *oidc.Provider
}

// New returns a manager of sessions below a path. Those who hold one of tokens may sign in; nobody
// is the role of those who have not. The key encrypts; an empty one is made up, and then sessions
// end with the process and hold in this instance alone.
func New(tokens admin.Tokens, nobody admin.Role, path, key string) (*Manager, error) {
	if key == "" {
		key = rand.Text()
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, []byte(key), nil, "waybill console "+purpose, sha256.Size)
	}
	sealing, err := derive("session")
	if err != nil {
		return nil, fmt.Errorf("derive the key of sessions: %w", err)
	}
	csrf, err := derive("csrf")
	if err != nil {
		return nil, fmt.Errorf("derive the key of forms: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, fmt.Errorf("prepare the encryption of sessions: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("prepare the encryption of sessions: %w", err)
	}
	return &Manager{tokens: tokens, nobody: nobody, path: cmp.Or(path, "/"), seal: seal, csrfKey: csrf, now: time.Now}, nil
}

// content is what the cookie holds.
type content struct {
	Token string    `json:"t"`
	Until time.Time `json:"u"`
}

// Of returns the session of a request. A cookie that is not ours, too old, or of a token that is no
// longer known is nobody's.
func (m *Manager) Of(r *http.Request) Session {
	s := Session{Holder: admin.Holder{Role: m.nobody}, Client: address(r)}
	value := pieces(r)
	var c content
	if !m.open(value, cookieName, &c) || m.now().After(c.Until) {
		return s
	}
	if holder, err := m.tokens.Holder(r.Context(), c.Token); err == nil {
		s.Holder, s.Token, s.cookie = holder, c.Token, value
	}
	return s
}

// ErrUnknown is the error of a token that nobody has.
var ErrUnknown = errors.New("this token is not one of those that are set here")

// SignIn begins a session. Tokens that are guessed are slowed down as they are everywhere.
func (m *Manager) SignIn(w http.ResponseWriter, r *http.Request, token string) error {
	who, err := m.tokens.Check(r.Context(), r.RemoteAddr, "Bearer "+token, "sign-in")
	blocked, tooMany := errors.AsType[*admin.TooManyError](err)
	switch {
	case tooMany:
		return fmt.Errorf("%w; try again in %.0f s", err, math.Ceil(blocked.Wait.Seconds()))
	case errors.Is(err, admin.ErrUnknown):
		return ErrUnknown
	case err != nil:
		return err
	case who.Role < admin.Viewer:
		return ErrNoRole
	}
	return m.begin(w, r, token)
}

// CSRF is what a change must bring along besides its cookie: a page of another origin cannot read
// it.
func (m *Manager) CSRF(s Session) string {
	mac := hmac.New(sha256.New, m.csrfKey)
	mac.Write([]byte(s.cookie))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Genuine reports whether a change brings the right one along.
func (m *Manager) Genuine(s Session, token string) bool {
	return hmac.Equal([]byte(m.CSRF(s)), []byte(token))
}

// Configured reports whether anybody can sign in, and Setting names what says who can.
func (m *Manager) Configured() bool { return !m.tokens.Empty() }

// Setting names the environment variable of the tokens.
func (m *Manager) Setting() string { return m.tokens.Setting() }

func address(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

type key struct{}

// With returns a context of a session.
func With(ctx context.Context, s Session) context.Context { return context.WithValue(ctx, key{}, s) }

// From returns the session of a context, which is nobody's where there is none.
func From(ctx context.Context) Session {
	s, _ := ctx.Value(key{}).(Session)
	return s
}
