// Package admin lets operators change something over HTTP: those who send a bearer token (RFC 6750)
// that the service was given, and under the name that goes with it, so that an audit trail can say
// who it was.
package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/terminal"
)

// Tokens are the tokens of a service, each with the name of its holder. The zero value has none,
// and lets nobody in.
type Tokens struct {
	setting string
	named   []namedToken
	refused *refused // nil: refusals are neither logged nor counted
	guesses *guesses // nil where there are no tokens
	// optional lets those in who send no token, under no name.
	optional bool
}

type namedToken struct {
	Holder
	hash [sha256.Size]byte
}

// minToken is how many characters a token has at least. At the 8,500 guesses per second that one
// client has been seen to make, 16 lower-case letters last longer than the universe has; 8 digits
// last 3 hours.
const minToken = 16

// Parse reads name=token pairs, as they come from the environment variable called setting; a name
// may say its role, name:role=token (see [Role]). None is no error: then changes over HTTP are off.
// The error names every invalid pair by its place, since the pair itself is a secret. A duplicate
// name or token is invalid: it would not say who it was.
func Parse(setting string, pairs []string) (Tokens, error) {
	t := Tokens{setting: setting, guesses: newGuesses()}
	var faults []error
	for i, pair := range pairs {
		name, token, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || !terminal.Plain(name) || len(token) < minToken {
			faults = append(faults, fmt.Errorf("%s: pair %d must be name=token, with a token of %d characters or more", setting, i+1, minToken))
			continue
		}
		name, role, err := splitRole(name)
		if err != nil || name == "" {
			faults = append(faults, fmt.Errorf("%s: pair %d: %w", setting, i+1, cmp.Or(err, errNameless)))
			continue
		}
		next := namedToken{Holder{name, role}, sha256.Sum256([]byte(token))}
		if slices.ContainsFunc(t.named, func(n namedToken) bool { return n.Name == next.Name || n.hash == next.hash }) {
			faults = append(faults, fmt.Errorf("%s: pair %d has the name or the token of an earlier one", setting, i+1))
			continue
		}
		t.named = append(t.named, next)
	}
	return t, errors.Join(faults...)
}

var errNameless = errors.New("a role needs a name before its colon")

// Empty reports whether there is no token.
func (t Tokens) Empty() bool { return len(t.named) == 0 }

// Optional returns tokens for what everybody may do, and holders of a token under their names: a
// request without a token is let in, one with a wrong token is not.
func (t Tokens) Optional() Tokens {
	t.optional = true
	return t
}

// And returns tokens of which each lets its holder in, for what two settings allow.
func (t Tokens) And(others Tokens) Tokens {
	t.setting += " or " + others.setting
	t.named = append(slices.Clip(t.named), others.named...)
	return t
}

// holder returns who has the token in an Authorization header. It takes the same time whichever
// token it is, and however much of it is right.
func (t Tokens) holder(header string) (Holder, bool) {
	scheme, token, _ := strings.Cut(header, " ")
	hash := sha256.Sum256([]byte(token))
	var holder Holder
	found := false
	for _, n := range t.named {
		if subtle.ConstantTimeCompare(n.hash[:], hash[:]) == 1 {
			holder, found = n.Holder, true
		}
	}
	return holder, found && strings.EqualFold(scheme, "Bearer")
}

type holderKey struct{}

// Guard is the middleware of an operation that changes something, or shows what is not for
// everybody: it lets holders of a token at it whose role is high enough (see [For]). Without any
// token the operation is off (403), and so it is for a role that is too low; without the right
// token, the answer is 401, and after many wrong ones from one address 429.
func Guard(api huma.API, tokens Tokens) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		refuse := func(status int, detail string) {
			_ = huma.WriteErr(api, ctx, status, detail) // fails only where the client is gone
		}
		who, inside := ctx.Context().Value(actingKey{}).(acting)
		if !inside {
			if len(tokens.named) == 0 {
				refuse(http.StatusForbidden, "changes are off here, and so is what only operators may see; set "+tokens.setting+" to name=token pairs to allow them")
				return
			}
			if tokens.optional && ctx.Header("Authorization") == "" {
				next(ctx)
				return
			}
			var ok bool
			if who, ok = admit(ctx, tokens, refuse); !ok {
				return
			}
		}
		if role := needed(ctx.Operation()); who.Role < role {
			tokens.refused.record(ctx)
			refuse(http.StatusForbidden, fmt.Sprintf("%s has the role %s; this needs %s", cmp.Or(who.Name, "a request without a token"), who.Role, role))
			return
		}
		next(huma.WithValue(huma.WithValue(ctx, holderKey{}, who.Name), clientKey{}, who.client))
	}
}

// admit finds out whose token a request has, or refuses it.
func admit(ctx huma.Context, tokens Tokens, refuse func(int, string)) (acting, bool) {
	header := ctx.Header("Authorization")
	if wait := tokens.guesses.blocked(ctx.RemoteAddr(), time.Now()); wait > 0 {
		tokens.refused.record(ctx)
		ctx.SetHeader("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		refuse(http.StatusTooManyRequests, "too many wrong tokens came from this address")
		return acting{}, false
	}
	holder, ok := tokens.holder(header)
	if !ok {
		if header != "" {
			tokens.guesses.wrong(ctx.RemoteAddr(), time.Now())
		}
		tokens.refused.record(ctx)
		ctx.SetHeader("WWW-Authenticate", "Bearer")
		refuse(http.StatusUnauthorized, "send a token of "+tokens.setting+" as Authorization: Bearer …")
		return acting{}, false
	}
	return acting{holder, host(ctx.RemoteAddr())}, true
}

type clientKey struct{}

// Client is the address that a guarded request came from, without the port; "" outside of one.
func Client(ctx context.Context) string {
	address, _ := ctx.Value(clientKey{}).(string)
	return address
}

func host(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// Actor is the name of the operator who makes a guarded request; "" outside of one.
func Actor(ctx context.Context) string {
	name, _ := ctx.Value(holderKey{}).(string)
	return name
}

// Secure returns an operation that needs one of the tokens: it has the middleware of [Guard], and
// says so in the API's document.
func Secure(api huma.API, tokens Tokens, op huma.Operation) huma.Operation {
	const scheme = "token"
	components := api.OpenAPI().Components
	if components.SecuritySchemes == nil {
		components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	}
	components.SecuritySchemes[scheme] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", Description: "A token of " + tokens.setting + ", and for reading one of its read tokens.",
	}
	op.Security = []map[string][]string{{scheme: {}}}
	if tokens.optional {
		op.Security = append(op.Security, map[string][]string{})
	}
	op.Middlewares = append(slices.Clip(op.Middlewares), Guard(api, tokens))
	op.Errors = append(slices.Clip(op.Errors), http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	return op
}
