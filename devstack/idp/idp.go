// Package idp is an OpenID Connect provider for tests: discovery, keys that can be rotated, and the
// authorization code flow with PKCE, for which it holds the client to every parameter. A browser
// that is sent to it is signed in at once, as the person that the test says.
package idp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Provider is a running identity provider. It is safe for concurrent use.
type Provider struct {
	*httptest.Server

	// ClientID, ClientSecret and RedirectURL are of the one client that it knows.
	ClientID, ClientSecret, RedirectURL string
	// Asked counts requests for the keys.
	Asked atomic.Int64
	// Down has it answer 503.
	Down atomic.Bool

	mu    sync.Mutex
	keys  []key
	codes map[string]code
	who   map[string]any
}

type key struct {
	id      string
	private *rsa.PrivateKey
}

type code struct {
	nonce, challenge string
	claims           map[string]any
}

// New starts a provider with one key, which ends with the test.
func New(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{ClientID: "waybill", codes: map[string]code{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.publicKeys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.Down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.Rotate(t)
	return p
}

// Rotate replaces the key that signs.
func (p *Provider) Rotate(t *testing.T) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []key{{rand.Text(), private}}
}

// SignInAs says who is signed in from now on.
func (p *Provider) SignInAs(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.who = claims
}

// Token returns a JWT of the claims, besides those that every token has and they do not say.
func (p *Provider) Token(claims map[string]any) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sign(claims)
}

func (p *Provider) sign(claims map[string]any) string {
	all := map[string]any{
		"iss": p.URL, "aud": p.ClientID, "sub": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	k := p.keys[0]
	text := encode(map[string]any{"alg": "RS256", "kid": k.id, "typ": "JWT"}) + "." + encode(all)
	hash := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.private, crypto.SHA256, hash[:])
	if err != nil {
		panic(err) // the key is ours
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // claims are those of a test
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // only a client that hung up fails here
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
	})
}

func (p *Provider) publicKeys(w http.ResponseWriter, _ *http.Request) {
	p.Asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []map[string]any
	for _, k := range p.keys {
		keys = append(keys, map[string]any{
			"kty": "RSA", "kid": k.id, "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
		})
	}
	answer(w, map[string]any{"keys": keys})
}

// authorize is the page where people sign in, which they have done.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.ClientID || q.Get("redirect_uri") != p.RedirectURL || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" {
		http.Error(w, "invalid_request", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	back := url.Values{"state": {q.Get("state")}}
	if p.who == nil {
		back.Set("error", "access_denied")
	} else {
		issued := rand.Text()
		p.codes[issued] = code{q.Get("nonce"), q.Get("code_challenge"), maps.Clone(p.who)}
		back.Set("code", issued)
	}
	http.Redirect(w, r, p.RedirectURL+"?"+back.Encode(), http.StatusFound)
}

// token redeems a code, once.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	issued, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	hash := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || id != p.ClientID || secret != p.ClientSecret || r.PostFormValue("redirect_uri") != p.RedirectURL ||
		base64.RawURLEncoding.EncodeToString(hash[:]) != issued.challenge {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	if _, said := issued.claims["nonce"]; !said {
		issued.claims["nonce"] = issued.nonce
	}
	answer(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600, "id_token": p.sign(issued.claims)})
}
