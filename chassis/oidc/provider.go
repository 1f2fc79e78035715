package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/terminal"
)

// Provider knows people by the tokens that an OpenID Connect provider has issued. It implements
// [admin.Identifier], and is safe for concurrent use.
type Provider struct {
	config Config
	roles  map[string]admin.Role
	client *http.Client
	log    *slog.Logger

	mu    sync.Mutex
	found *discovered // nil: not yet
}

// discovered is what the provider says of itself.
type discovered struct {
	verifier *oidc.IDTokenVerifier
	endpoint oauth2.Endpoint
}

var _ admin.Identifier = (*Provider)(nil)

// prefix is before the names of people whom the provider knows, so that nobody of them can be taken
// for the holder of a token of a setting, whose names have no colon.
const prefix = "oidc:"

// maxName bounds the name that an audit log records, in bytes.
const maxName = 200

// New returns the provider of the settings; nil where there is none. It is not asked for anything
// before the first token comes.
func New(c Config, log *slog.Logger) (*Provider, error) {
	if c.Issuer == "" {
		return nil, nil //nolint:nilnil // there need not be one
	}
	roles, err := c.roles()
	if err != nil {
		return nil, err
	}
	transport := &seldom{next: http.DefaultTransport, after: refetchAfter, last: map[string]*fetched{}}
	return &Provider{config: c, roles: roles, log: log, client: &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		// What is asked for is where the issuer says, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Identifier returns the provider as an [admin.Identifier]; nil for none.
func (p *Provider) Identifier() admin.Identifier {
	if p == nil {
		return nil
	}
	return p
}

// discover asks the provider once for what it says of itself.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	// Others wait for the same answer: it does not end with who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	ctx = oidc.ClientContext(ctx, p.client)
	provider, err := oidc.NewProvider(ctx, p.config.Issuer)
	var about struct {
		JWKS string   `json:"jwks_uri"`
		Algs []string `json:"id_token_signing_alg_values_supported"`
	}
	if err == nil {
		err = provider.Claims(&about)
	}
	if err != nil {
		p.log.WarnContext(ctx, "the identity provider cannot be asked", "issuer", p.config.Issuer, "error", err)
		return nil, errSilent
	}
	// Signatures by a shared secret are out of the question: this is no secret of the provider's.
	about.Algs = slices.DeleteFunc(about.Algs, func(alg string) bool { return !slices.Contains(signatures, alg) })
	p.found = &discovered{
		endpoint: provider.Endpoint(),
		verifier: oidc.NewVerifier(p.config.Issuer, keys{oidc.NewRemoteKeySet(ctx, about.JWKS)}, &oidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: about.Algs}),
	}
	p.log.InfoContext(ctx, "the identity provider was found", "issuer", p.config.Issuer)
	return p.found, nil
}

// signatures are those whose keys are public.
var signatures = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// keys notes when the provider's keys could not be fetched: the verifier passes errors on as text.
type keys struct{ oidc.KeySet }

type silentKey struct{}

// VerifySignature implements [oidc.KeySet].
func (k keys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if silent, ok := ctx.Value(silentKey{}).(*bool); ok && err != nil {
		*silent = errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded)
	}
	return payload, err
}

// Identify implements [admin.Identifier].
func (p *Provider) Identify(ctx context.Context, token string) (admin.Holder, error) {
	verified, err := p.verify(ctx, token)
	if err != nil {
		return admin.Holder{}, err
	}
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil {
		return admin.Holder{}, admin.ErrUnknown
	}
	name := p.name(claims)
	if name == "" {
		p.log.WarnContext(ctx, "a token has no name that can be used", "claim", p.config.NameClaim)
		return admin.Holder{}, admin.ErrUnknown
	}
	return admin.Holder{Name: prefix + name, Role: p.role(claims)}, nil
}

// verify returns a token of the provider's that is meant for us and has not expired.
func (p *Provider) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	if strings.Count(token, ".") != 2 { // header, payload, signature: RFC 7515
		return nil, admin.ErrUnknown
	}
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	silent := false
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, silentKey{}, &silent), fetchTimeout)
	defer cancel()
	verified, err := found.verifier.Verify(ctx, token)
	_, expired := errors.AsType[*oidc.TokenExpiredError](err)
	switch {
	case expired:
		return nil, admin.ErrExpired
	case err != nil && silent:
		return nil, errSilent
	case err != nil:
		return nil, admin.ErrUnknown
	case !slices.ContainsFunc(verified.Audience, func(a string) bool { return slices.Contains(p.config.Audience, a) }):
		return nil, admin.ErrUnknown
	}
	return verified, nil
}

// name is what the audit log records as the actor; empty: no claim can be used.
func (p *Provider) name(claims map[string]json.RawMessage) string {
	var name string
	if json.Unmarshal(claims[p.config.NameClaim], &name) != nil || len(name) > maxName || !terminal.Plain(name) {
		return ""
	}
	if p.config.NameClaim == "email" && string(claims["email_verified"]) != "true" {
		return ""
	}
	return name
}

// role is the highest of the roles of the claim's values.
func (p *Provider) role(claims map[string]json.RawMessage) (highest admin.Role) {
	for _, value := range values(claims, p.config.RoleClaim) {
		highest = max(highest, p.roles[value])
	}
	return highest
}

// values are the strings of a claim, which may be in objects.
func values(claims map[string]json.RawMessage, path string) (all []string) {
	raw, there := claims[path] // a claim's name may have dots: https://example.com/roles
	if !there {
		first, rest, deeper := strings.Cut(path, ".")
		var inner map[string]json.RawMessage
		if deeper && json.Unmarshal(claims[first], &inner) == nil {
			return values(inner, rest)
		}
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}

// Host is the provider's, by which people know it.
func (p *Provider) Host() string {
	u, err := url.Parse(p.config.Issuer)
	if err != nil {
		return p.config.Issuer
	}
	return u.Host
}
