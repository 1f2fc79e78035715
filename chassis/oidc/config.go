// Package oidc lets people in whom an OpenID Connect provider knows, beside the tokens of a
// setting: a request brings a JWT of the provider as its bearer token (RFC 6750), and a claim in it
// says which role its holder has.
//
// Only the provider's public keys are fetched, by discovery (OpenID Connect Discovery 1.0), and
// again when a token names a key that is not known: keys are rotated without a restart. A provider
// that does not answer keeps nobody out whose token is signed by a known key, and no token of a
// setting.
//
//	config.go    the settings
//	provider.go  whose a token is
//	fetch.go     how seldom the provider is asked
//	signin.go    signing in with a browser: authorization code and PKCE
package oidc

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/config"
)

// Config says which provider to believe, and what. It is off without an issuer.
type Config struct {
	// Issuer is the provider's URL, below which .well-known/openid-configuration is.
	Issuer string `env:"OIDC_ISSUER"`
	// Audience is who tokens must be meant for, one of these: what the provider calls this API, and
	// the client of the console.
	Audience []string `env:"OIDC_AUDIENCE"`
	// RoleClaim is the claim that Roles are about: a string or a list of them. Dots lead into
	// objects: realm_access.roles.
	RoleClaim string `env:"OIDC_ROLE_CLAIM" envDefault:"groups"`
	// Roles are value=role. Who has several values has the highest of their roles, who has none
	// gets in nowhere.
	Roles []string `env:"OIDC_ROLES"`
	// NameClaim is the claim that audit logs name people by. An email counts only if the provider
	// has verified it.
	NameClaim string `env:"OIDC_NAME_CLAIM" envDefault:"sub"`

	// ClientID lets people sign in to the console by the provider, with ClientSecret unless the
	// provider wants none, and RedirectURL, where the browser comes back to: the console's address
	// and /sign-in/oidc/back.
	ClientID     string        `env:"OIDC_CLIENT_ID"`
	ClientSecret config.Secret `env:"OIDC_CLIENT_SECRET"`
	RedirectURL  string        `env:"OIDC_REDIRECT_URL"`
	// Scopes are asked for besides openid.
	Scopes []string `env:"OIDC_SCOPES" envDefault:"profile,email"`
}

// Validate implements config.Validator.
func (c Config) Validate() []error {
	if c.Issuer == "" {
		if len(c.Audience)+len(c.Roles) > 0 || c.ClientID != "" {
			return []error{errors.New("OIDC_ISSUER must be set with the other settings of OIDC")}
		}
		return nil
	}
	var faults []error
	if !protected(c.Issuer) {
		faults = append(faults, errors.New("OIDC_ISSUER must be a URL such as https://id.example.com; http:// is for this machine only"))
	}
	if len(c.Audience) == 0 {
		faults = append(faults, errors.New("OIDC_AUDIENCE must say who tokens are meant for: otherwise those for other applications would do"))
	}
	if len(c.Roles) == 0 {
		faults = append(faults, errors.New("OIDC_ROLES must say which values of the claim are which role: value=role, separated by commas"))
	}
	if _, err := c.roles(); err != nil {
		faults = append(faults, err)
	}
	if (c.ClientID == "") != (c.RedirectURL == "") {
		faults = append(faults, errors.New("OIDC_CLIENT_ID and OIDC_REDIRECT_URL must be set together"))
	}
	if c.ClientID != "" && !slices.Contains(c.Audience, c.ClientID) {
		faults = append(faults, errors.New("OIDC_AUDIENCE must have OIDC_CLIENT_ID in it: the tokens of the console are meant for that"))
	}
	if c.RedirectURL != "" && (!protected(c.RedirectURL) || !strings.HasSuffix(c.RedirectURL, BackPath)) {
		faults = append(faults, fmt.Errorf("OIDC_REDIRECT_URL must be the console's address and %s, such as https://console.example.com%s", BackPath, BackPath))
	}
	return faults
}

// protected reports whether what is sent to a URL cannot be read on the way.
func protected(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// roles are the roles by the value of the claim.
func (c Config) roles() (map[string]admin.Role, error) {
	roles := map[string]admin.Role{}
	for _, pair := range c.Roles {
		at := strings.LastIndexByte(pair, '=') // a value may have one itself
		if at < 1 {
			return nil, fmt.Errorf("OIDC_ROLES must be value=role, separated by commas, not %q", pair)
		}
		role, err := admin.ParseRole(pair[at+1:])
		if err != nil {
			return nil, fmt.Errorf("OIDC_ROLES: %w", err)
		}
		roles[pair[:at]] = role
	}
	return roles, nil
}
