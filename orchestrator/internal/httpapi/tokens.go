package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Tokens lets those in who show a token, and knows them by its name.
type Tokens struct {
	named []namedToken
}

type namedToken struct {
	name string
	hash [sha256.Size]byte
}

// ParseTokens reads name=token pairs. None is no error: then nobody is let in.
func ParseTokens(pairs []string) (Tokens, error) {
	var t Tokens
	var faults []error
	for i, pair := range pairs {
		name, token, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || len(token) < minToken {
			// The pair is a secret: it is named by its place.
			faults = append(faults, fmt.Errorf("pair %d must be name=token with a token of at least %d characters", i+1, minToken))
			continue
		}
		t.named = append(t.named, namedToken{name, sha256.Sum256([]byte(token))})
	}
	return t, errors.Join(faults...)
}

const minToken = 8

// actor returns the name of the token that an Authorization header carries.
// All tokens are compared, each in constant time.
func (t Tokens) actor(header string) (string, bool) {
	scheme, token, _ := strings.Cut(header, " ")
	hash := sha256.Sum256([]byte(token))
	name, found := "", false
	for _, n := range t.named {
		if subtle.ConstantTimeCompare(n.hash[:], hash[:]) == 1 {
			name, found = n.name, true
		}
	}
	return name, found && strings.EqualFold(scheme, "Bearer")
}

type actorKey struct{}

// guard lets only those with a token at an operation.
func (a *API) guard(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		refuse := func(status int, detail string) {
			_ = huma.WriteErr(api, ctx, status, detail) // fails only where the client is gone
		}
		if len(a.Tokens.named) == 0 {
			refuse(http.StatusForbidden, "interventions are off here; set ORCHESTRATOR_ADMIN_TOKENS to name=token pairs to allow them")
			return
		}
		name, ok := a.Tokens.actor(ctx.Header("Authorization"))
		if !ok {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			refuse(http.StatusUnauthorized, "send a token of ORCHESTRATOR_ADMIN_TOKENS as Authorization: Bearer …")
			return
		}
		next(huma.WithValue(ctx, actorKey{}, name))
	}
}
