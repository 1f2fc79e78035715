package session

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// A browser keeps cookies of 4,096 bytes, with their names and attributes: what is longer, as the
// token of an identity provider may be, is in several pieces.
const (
	pieceLength = 3500
	maxPieces   = 5
)

func pieceName(n int) string {
	if n == 0 {
		return cookieName
	}
	return cookieName + "_" + strconv.Itoa(n)
}

// pieces is the value of a request's session.
func pieces(r *http.Request) (value string) {
	for n := range maxPieces {
		piece, err := r.Cookie(pieceName(n))
		if err != nil {
			break
		}
		value += piece.Value
	}
	return value
}

// sealed encrypts a value for a cookie of a name, where nothing else can be put.
func (m *Manager) sealed(v any, name string) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode the session: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(m.seal.Seal(nil, nil, plain, []byte(name))), nil //nolint:gosec // it draws a nonce by itself
}

// open decrypts what sealed returned. False: it was not we who did, or not for this name.
func (m *Manager) open(value, name string, into any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return false
	}
	plain, err := m.seal.Open(nil, nil, sealed, []byte(name))
	return err == nil && json.Unmarshal(plain, into) == nil
}

// begin begins the session of a token that was looked at.
func (m *Manager) begin(w http.ResponseWriter, r *http.Request, token string) error {
	value, err := m.sealed(content{token, m.now().Add(lifetime)}, cookieName)
	if err != nil {
		return err
	}
	if len(value) > maxPieces*pieceLength {
		return errors.New("the token is too long for a browser's cookies: have the identity provider put fewer claims into it")
	}
	m.set(w, r, value, int(lifetime.Seconds()))
	return nil
}

// SignOut ends the session of this browser.
func (m *Manager) SignOut(w http.ResponseWriter, r *http.Request) { m.set(w, r, "", -1) }

// set sets the pieces of a session, and removes those that an earlier one has had.
func (m *Manager) set(w http.ResponseWriter, r *http.Request, value string, age int) {
	for n := range maxPieces {
		piece := value[:min(len(value), pieceLength)]
		value = value[len(piece):]
		if _, err := r.Cookie(pieceName(n)); piece == "" && err != nil && n > 0 {
			continue // there is none to remove
		}
		if piece == "" {
			age = -1
		}
		m.cookie(w, r, &http.Cookie{Name: pieceName(n), Value: piece, Path: m.path, MaxAge: age, SameSite: http.SameSiteStrictMode}) //nolint:gosec // see cookie
	}
}

func (m *Manager) cookie(w http.ResponseWriter, r *http.Request, c *http.Cookie) { //nolint:gosec // its callers say SameSite
	c.HttpOnly = true
	c.Secure = r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" // wherever the browser came by TLS
	http.SetCookie(w, c)
}
