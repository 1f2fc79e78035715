package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"waybill/outbox-relay/internal/ops"
)

// Tokens lets those change something who show a token, and knows them by its name.
type Tokens struct{ named []namedToken }

type namedToken struct {
	name string
	hash [sha256.Size]byte
}

const minToken = 8

// ParseTokens reads name=token pairs. None is no error: then nobody can change anything over HTTP.
func ParseTokens(pairs []string) (Tokens, error) {
	var t Tokens
	var faults []error
	for i, pair := range pairs {
		name, token, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || len(token) < minToken {
			// The pair is a secret, so it is named by its place.
			faults = append(faults, fmt.Errorf("pair %d must be name=token, with a token of %d characters or more", i+1, minToken))
			continue
		}
		t.named = append(t.named, namedToken{name, sha256.Sum256([]byte(token))})
	}
	return t, errors.Join(faults...)
}

// actor returns the name of the token in an Authorization header. It takes the same time whichever token it is, and
// however much of it is right.
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
		if len(a.Tokens.named) == 0 {
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, "changes are off here; set RELAY_ADMIN_TOKENS to name=token pairs to allow them")
			return
		}
		name, ok := a.Tokens.actor(ctx.Header("Authorization"))
		if !ok {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(api, ctx, http.StatusUnauthorized, "send a token of RELAY_ADMIN_TOKENS as Authorization: Bearer …")
			return
		}
		next(huma.WithValue(ctx, actorKey{}, name))
	}
}

// by says who makes the request of ctx.
func by(ctx context.Context, reason string) ops.By {
	name, _ := ctx.Value(actorKey{}).(string)
	return ops.By{Actor: name, Reason: reason}
}
