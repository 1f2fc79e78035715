package admin

import (
	"cmp"
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/apiclient"
)

// HeaderShowTo is a request header that lowers the role as which a request is answered. The console
// sends it, whose own token reads on behalf of all its users. It never raises a role.
const HeaderShowTo = apiclient.HeaderShowTo

type roleOfKey struct{}

// RoleOf is the role as which a request is answered what there is to see: that of its token, or the
// lower one that it asks for. It is [Nobody] where no token was looked at.
func RoleOf(ctx context.Context) Role {
	role, _ := ctx.Value(roleOfKey{}).(Role)
	return role
}

// shownTo is the role that a request names; the highest if it names none. A word that is no role is
// [Nobody].
func shownTo(word string) Role {
	role, _ := ParseRole(cmp.Or(word, Admin.String())) // Nobody with an error
	return role
}

// Recognize returns an operation that needs no token, and knows the holders of those that are sent:
// what they see may be more ([RoleOf]). A token that is wrong is refused, as [Guard] refuses it.
func Recognize(api huma.API, tokens Tokens, op huma.Operation) huma.Operation {
	op.Middlewares = append(slices.Clip(op.Middlewares), func(ctx huma.Context, next func(huma.Context)) {
		who, inside := ctx.Context().Value(actingKey{}).(acting)
		if !inside {
			if tokens.Empty() || ctx.Header("Authorization") == "" {
				next(ctx)
				return
			}
			var ok bool
			refuse := func(status int, detail string) { _ = huma.WriteErr(api, ctx, status, detail) } // fails only where the client is gone
			if who, ok = authenticate(ctx, tokens, refuse); !ok {
				return
			}
		}
		next(known(ctx, who))
	})
	return op
}

// Reading returns an operation that shows what not everybody may see: it needs one of the readers'
// tokens; without readers it is open, and knows the holders of tokens all the same if knowing says
// that it matters.
func Reading(api huma.API, readers *Tokens, tokens Tokens, knowing bool, op huma.Operation) huma.Operation {
	switch {
	case readers != nil:
		return Secure(api, *readers, op)
	case knowing:
		return Recognize(api, tokens, op)
	}
	return op
}
