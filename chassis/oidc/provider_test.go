package oidc

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/devstack/idp"
)

func settings(p *idp.Provider) Config {
	return Config{
		Issuer: p.URL, Audience: []string{"waybill", "waybill-api"}, RoleClaim: "groups", NameClaim: "email",
		Roles: []string{"support=viewer", "oncall=operator", "cn=platform=admin"},
	}
}

func provider(t *testing.T, c Config) *Provider {
	t.Helper()
	require.Empty(t, c.Validate())
	p, err := New(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return p
}

func TestProvider_AClaimSaysTheRole(t *testing.T) {
	t.Parallel()
	there := idp.New(t)
	c := settings(there)
	p := provider(t, c)
	for name, tt := range map[string]struct {
		claims map[string]any
		want   admin.Role
	}{
		"one group":              {map[string]any{"groups": "support"}, admin.Viewer},
		"the highest of several": {map[string]any{"groups": []string{"support", "oncall", "else"}}, admin.Operator},
		"a value with a sign":    {map[string]any{"groups": []string{"cn=platform"}}, admin.Admin},
		"none that is known":     {map[string]any{"groups": []string{"else"}}, admin.Nobody},
		"no group":               {map[string]any{}, admin.Nobody},
		"no list of text":        {map[string]any{"groups": []any{"oncall", 7}}, admin.Nobody},
		"another's claim":        {map[string]any{"roles": "cn=platform", "groups": map[string]any{"groups": "oncall"}}, admin.Nobody},
		"another audience":       {map[string]any{"groups": "oncall", "aud": []string{"x", "waybill-api"}}, admin.Operator},
	} {
		tt.claims["email"], tt.claims["email_verified"] = "ann@example.com", true
		who, err := p.Identify(t.Context(), there.Token(tt.claims))
		require.NoError(t, err, name)
		require.Equal(t, admin.Holder{Name: "oidc:ann@example.com", Role: tt.want}, who, name)
	}
	c.RoleClaim, c.NameClaim = "realm_access.roles", "sub"
	who, err := provider(t, c).Identify(t.Context(), there.Token(map[string]any{"sub": "7", "realm_access": map[string]any{"roles": []string{"oncall"}}}))
	require.NoError(t, err)
	require.Equal(t, admin.Holder{Name: "oidc:7", Role: admin.Operator}, who)
}

// hs256 signs with what is public: the confusion of RFC 8725 §2.1.
func hs256(token, key string) string {
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`))
	text := header + "." + strings.Split(token, ".")[1]
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func unsigned(token string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(token, ".")[1] + "."
}

// tampered changes what a token says, and not its signature.
func tampered(token string) string {
	parts := strings.Split(token, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(claims, []byte("support"), []byte("oncall!"), 1))
	return strings.Join(parts, ".")
}

func TestProvider_WhatItDidNotIssueForUsIsNobodys(t *testing.T) {
	t.Parallel()
	there, other := idp.New(t), idp.New(t)
	p := provider(t, settings(there))
	good := map[string]any{"groups": "support", "email": "ann@example.com", "email_verified": true}
	with := func(name string, value any) map[string]any {
		claims := map[string]any{name: value}
		for k, v := range good {
			if k != name {
				claims[k] = v
			}
		}
		return claims
	}
	_, err := p.Identify(t.Context(), there.Token(good))
	require.NoError(t, err)
	for name, token := range map[string]string{
		"another provider's":                 other.Token(good),
		"another provider's, in our name":    other.Token(with("iss", there.URL)),
		"for another application":            there.Token(with("aud", "payroll")),
		"for nobody":                         there.Token(with("aud", []string{})),
		"no signature":                       unsigned(there.Token(good)),
		"signed by what everybody knows":     hs256(there.Token(good), there.URL),
		"changed":                            tampered(there.Token(good)),
		"not valid yet":                      there.Token(with("nbf", time.Now().Add(time.Hour).Unix())),
		"an address that nobody has checked": there.Token(with("email_verified", false)),
		"an address that says it is checked": there.Token(with("email_verified", "true")),
		"a name that steers a terminal":      there.Token(with("email", "a\nb")),
		"a name without end":                 there.Token(with("email", strings.Repeat("a", 201))),
		"no name":                            there.Token(with("email", "")),
		"not one at all":                     "a.b.c",
		"a token of a setting":               "a-token-of-some-length",
	} {
		_, err := p.Identify(t.Context(), token)
		require.ErrorIs(t, err, admin.ErrUnknown, name)
	}
	_, err = p.Identify(t.Context(), there.Token(with("exp", time.Now().Add(-time.Minute).Unix())))
	require.ErrorIs(t, err, admin.ErrExpired)
	_, err = p.Identify(t.Context(), there.Token(with("exp", nil)))
	require.Error(t, err, "one that never expires")
}

// Keys are rotated without a restart, and tokens of the old one are nobody's then. Who sends tokens
// of keys that nobody knows does not make the provider be asked each time.
func TestProvider_KeysAreRotated(t *testing.T) {
	t.Parallel()
	there := idp.New(t)
	p := provider(t, settings(there))
	seldom := p.client.Transport.(*seldom)
	claims := map[string]any{"groups": "oncall", "email": "ann@example.com", "email_verified": true}
	before := there.Token(claims)
	_, err := p.Identify(t.Context(), before)
	require.NoError(t, err)

	there.Rotate(t)
	after := there.Token(claims)
	for range 100 {
		_, err = p.Identify(t.Context(), after)
		require.ErrorIs(t, err, admin.ErrUnknown)
	}
	require.Equal(t, int64(1), there.Asked.Load(), "a hundred tokens of an unknown key are no reason to ask again so soon")

	seldom.after = 0 // ten seconds later
	identified(t, p, after, nil)
	identified(t, p, before, admin.ErrUnknown)

	there.Down.Store(true)
	_, err = p.Identify(t.Context(), after)
	require.NoError(t, err, "its key is known")
	identified(t, p, before, errSilent) // it may be of a new key
}

// identified waits until a token is answered as wanted. A question may join the one before it,
// which go-oidc takes for under way for a moment after it was answered: then it gets that one's
// keys.
func identified(t *testing.T, p *Provider, token string, want error) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		_, err = p.Identify(t.Context(), token)
		return errors.Is(err, want)
	}, time.Minute, time.Millisecond, "want %v", want)
	require.ErrorIs(t, err, want)
}

func TestProvider_IsAskedWhenTheFirstTokenComes(t *testing.T) {
	t.Parallel()
	there := idp.New(t)
	there.Down.Store(true)
	p := provider(t, settings(there))
	token := there.Token(map[string]any{"groups": "oncall", "email": "ann@example.com", "email_verified": true})
	_, err := p.Identify(t.Context(), token)
	require.ErrorIs(t, err, errSilent)
	require.NotErrorIs(t, err, admin.ErrUnknown)
	there.Down.Store(false)
	p.client.Transport.(*seldom).after = 0
	_, err = p.Identify(t.Context(), token)
	require.NoError(t, err)
}

func TestConfig_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	require.Empty(t, Config{}.Validate(), "off")
	for fault, change := range map[string]func(*Config){
		"OIDC_ISSUER must be a URL":                    func(c *Config) { c.Issuer = "http://id.example.com" },
		"OIDC_ISSUER must be set":                      func(c *Config) { c.Issuer = "" },
		"OIDC_AUDIENCE must say":                       func(c *Config) { c.Audience = nil },
		"OIDC_ROLES must say":                          func(c *Config) { c.Roles = nil },
		"a role must be one of":                        func(c *Config) { c.Roles = []string{"x=king"} },
		"OIDC_ROLES must be value=role":                func(c *Config) { c.Roles = []string{"=admin"} },
		"OIDC_CLIENT_ID and OIDC_REDIRECT_URL must be": func(c *Config) { c.ClientID = "a" },
		"OIDC_AUDIENCE must have":                      func(c *Config) { c.ClientID, c.RedirectURL = "b", "https://x.example"+BackPath },
		"OIDC_REDIRECT_URL must be the console's":      func(c *Config) { c.ClientID, c.RedirectURL = "a", "https://x.example/elsewhere" },
	} {
		c := Config{Issuer: "https://id.example.com", Audience: []string{"a"}, Roles: []string{"x=admin"}}
		require.Empty(t, c.Validate())
		change(&c)
		require.NotEmpty(t, c.Validate(), fault)
		require.ErrorContains(t, c.Validate()[0], fault)
	}
}
