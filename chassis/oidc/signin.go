package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"waybill.example/chassis/admin"
)

// BackPath is where a browser comes back to from the provider, below the console's address.
const BackPath = "/sign-in/oidc/back"

// SignIn is a sign-in that has been sent to the provider and is not back yet. It has to be kept for
// them, where nobody else can read or change it: Verifier is secret, and State ties the answer to
// this browser.
type SignIn struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"u"` // where they wanted to go
	Until    time.Time `json:"t"`
}

// Interactive reports whether people can sign in with a browser.
func (p *Provider) Interactive() bool { return p != nil && p.config.ClientID != "" }

func (p *Provider) oauth(endpoint oauth2.Endpoint) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: string(p.config.ClientSecret), RedirectURL: p.config.RedirectURL,
		Endpoint: endpoint, Scopes: append([]string{oidc.ScopeOpenID}, p.config.Scopes...),
	}
}

// URL is where to send the browser of a sign-in: the provider's page.
func (p *Provider) URL(ctx context.Context, s SignIn) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.oauth(found.endpoint).AuthCodeURL(s.State, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)), nil
}

// ErrRefused is the error of a sign-in that the provider did not confirm.
var ErrRefused = errors.New("the identity provider did not confirm the sign-in")

// Redeem exchanges the code of a browser that came back for the ID token of who it is. The caller
// has compared the state.
func (p *Provider) Redeem(ctx context.Context, s SignIn, code string) (token string, err error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), fetchTimeout)
	defer cancel()
	answer, err := p.oauth(found.endpoint).Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		// The answer may quote the code; its error code (RFC 6749 §5.2) does not.
		why := "no answer that can be used"
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode != "" {
			why = refused.ErrorCode
		}
		p.log.WarnContext(ctx, "a code was not redeemed", "issuer", p.config.Issuer, "error", why)
		return "", ErrRefused
	}
	token, ok := answer.Extra("id_token").(string)
	if !ok {
		return "", fmt.Errorf("%w: it sent no ID token", ErrRefused)
	}
	verified, err := p.verify(ctx, token)
	switch {
	case errors.Is(err, admin.ErrUnknown), err == nil && verified.Nonce != s.Nonce:
		return "", ErrRefused
	case err != nil:
		return "", err
	}
	return token, nil
}
