// Package admin lets operators change something over HTTP: those who send a bearer token (RFC 6750)
// that the service was given, and under the name that goes with it, so that an audit trail can say
// who it was.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Tokens are what lets people in: the tokens of a setting, each with the name of its holder, and
// those of an identity provider. The zero value has none, and lets nobody in. Values that were made
// from another share what it knows.
type Tokens struct {
	setting string
	from    []issuer
	refused *refused // nil: refusals are neither logged nor counted
	guesses *guesses // nil where there are no tokens
	// optional lets those in who send no token, under no name.
	optional bool
}

// issuer is who knows some of the tokens, and the most that their holders may do here.
type issuer struct {
	Identifier
	ceiling Role
}

// Identifier knows whose a token is: a setting, or an identity provider. It is safe for concurrent
// use.
type Identifier interface {
	// Identify returns the holder of a token; ErrUnknown for one that is nobody's, ErrExpired for
	// one that was known, and any other error where that cannot be known now.
	Identify(ctx context.Context, token string) (Holder, error)
}

// Errors of a token that lets nobody in.
var (
	ErrUnknown = errors.New("the token is nobody's")
	ErrExpired = errors.New("the token has expired")
)

// TooManyError is the error for an address that sent too many wrong tokens.
type TooManyError struct{ Wait time.Duration }

func (e *TooManyError) Error() string { return "too many wrong tokens came from this address" }

// Parse reads name=token pairs, as they come from the environment variable called setting; a name
// may say its role, name:role=token (see [Role]). None is no error: then changes over HTTP are off.
// The error names every invalid pair by its place, since the pair itself is a secret. A duplicate
// name or token is invalid: it would not say who it was.
//
// Where the variable with _FILE appended names a file, that is read again when it changes: tokens
// are given and taken without a restart.
func Parse(setting string, pairs []string) (Tokens, error) {
	return parseAs(setting, pairs, Admin)
}

// ParseReaders is Parse for tokens that are for reading: one that does not say its role is a
// [Reader]'s. A higher role lets its holder change nothing, where these tokens are not those of
// changes; it is for a service that has to read what is hidden from people (chassis/masking).
func ParseReaders(setting string, pairs []string) (Tokens, error) {
	return parseAs(setting, pairs, Reader)
}

func parseAs(setting string, pairs []string, unsaid Role) (Tokens, error) {
	named, err := parse(setting, pairs, unsaid)
	list := newList(setting, named, unsaid)
	t := Tokens{setting: setting, guesses: newGuesses(), refused: list.refused}
	t.from = []issuer{{list, Admin}}
	return t, err
}

// Empty reports whether there is no token, nor anybody who issues some.
func (t Tokens) Empty() bool {
	return !slices.ContainsFunc(t.from, func(i issuer) bool {
		list, is := i.Identifier.(*list)
		return !is || !list.empty()
	})
}

// With returns the tokens and those of an identity provider; a nil one is none.
func (t Tokens) With(provider Identifier) Tokens {
	if provider != nil {
		t.from = append(slices.Clip(t.from), issuer{provider, Admin})
	}
	return t
}

// Optional returns tokens for what everybody may do, and holders of a token under their names: a
// request without a token is let in, one with a wrong token is not.
func (t Tokens) Optional() Tokens {
	t.optional = true
	return t
}

// And returns tokens of which each lets its holder in, for what two settings allow. It is for
// wiring: nobody may look at tokens yet.
func (t Tokens) And(others Tokens) Tokens {
	t.setting += " or " + others.setting
	t.from = append(slices.Clip(t.from), others.from...)
	for _, i := range others.from {
		if list, is := i.Identifier.(*list); is && t.refused != nil {
			list.refused = t.refused // one place reports for both
		}
	}
	return t
}

// identify returns who has a token. It takes the same time whichever token of a setting it is, and
// however much of it is right.
func (t Tokens) identify(ctx context.Context, token string) (holder Holder, err error) {
	err = ErrUnknown
	for _, i := range t.from {
		if _, ours := i.Identifier.(*list); err == nil && !ours {
			continue // a token of a setting is nobody else's business
		}
		found, why := i.Identify(ctx, token)
		switch {
		case why == nil:
			holder, err = Holder{found.Name, min(found.Role, i.ceiling)}, nil
		case err != nil && !errors.Is(why, ErrUnknown):
			err = why
		}
	}
	return holder, err
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
			if tokens.Empty() {
				refuse(http.StatusForbidden, "changes are off here, and so is what only operators may see; set "+tokens.setting+" to name=token pairs to allow them")
				return
			}
			if tokens.optional && ctx.Header("Authorization") == "" {
				next(ctx)
				return
			}
			var ok bool
			if who, ok = authenticate(ctx, tokens, refuse); !ok {
				return
			}
		}
		if role := needed(ctx.Operation()); who.Role < role {
			tokens.refused.record(ctx.RemoteAddr(), ctx.Operation().OperationID)
			refuse(http.StatusForbidden, fmt.Sprintf("%s has the role %s; this needs %s", cmp.Or(who.Name, "a request without a token"), who.Role, role))
			return
		}
		next(known(ctx, who))
	}
}

// authenticate returns who sent a request, or refuses it if its token is invalid.
func authenticate(ctx huma.Context, tokens Tokens, refuse func(int, string)) (who acting, ok bool) {
	holder, err := tokens.Check(ctx.Context(), ctx.RemoteAddr(), ctx.Header("Authorization"), ctx.Operation().OperationID)
	if err != nil {
		turnAway(ctx, err, tokens.setting, refuse)
		return acting{}, false
	}
	return acting{holder, host(ctx.RemoteAddr())}, true
}

// known returns the context of a request with who sent it, from which client, and with which role.
func known(ctx huma.Context, who acting) huma.Context {
	role := min(who.Role, shownTo(ctx.Header(HeaderShowTo)))
	return huma.WithValue(huma.WithValue(huma.WithValue(ctx, holderKey{}, who.Name), clientKey{}, who.client), roleOfKey{}, role)
}

// turnAway answers a request whose token lets nobody in.
func turnAway(ctx huma.Context, err error, setting string, refuse func(int, string)) {
	blocked, tooMany := errors.AsType[*TooManyError](err)
	switch {
	case tooMany:
		ctx.SetHeader("Retry-After", strconv.Itoa(int(math.Ceil(blocked.Wait.Seconds()))))
		refuse(http.StatusTooManyRequests, err.Error())
	case errors.Is(err, ErrExpired):
		ctx.SetHeader("WWW-Authenticate", `Bearer error="invalid_token", error_description="the token has expired"`)
		refuse(http.StatusUnauthorized, err.Error())
	case errors.Is(err, ErrUnknown):
		ctx.SetHeader("WWW-Authenticate", "Bearer")
		refuse(http.StatusUnauthorized, "send a token of "+setting+" as Authorization: Bearer …")
	default:
		ctx.SetHeader("Retry-After", "5")
		refuse(http.StatusServiceUnavailable, "who you are cannot be found out now: "+err.Error())
	}
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
