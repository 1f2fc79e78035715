package admin_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
)

// The tokens of every role: the letters are theirs alone.
func everyRole(t *testing.T) admin.Tokens {
	t.Helper()
	tokens, err := admin.Parse("TEST_TOKENS", []string{
		"vic:viewer=vvvvvvvvvvvvvvvv", "rea:reader=rrrrrrrrrrrrrrrr", "opa:operator=oooooooooooooooo", "ada:admin=aaaaaaaaaaaaaaaa", "old=nnnnnnnnnnnnnnnn",
	})
	require.NoError(t, err)
	return tokens
}

func TestGuard_ARoleMayDoWhatThoseBelowItMay(t *testing.T) {
	t.Parallel()
	_, api := humatest.New(t)
	tokens := everyRole(t)
	register := func(op huma.Operation) {
		op.OperationID = op.Method + op.Path
		huma.Register(api, admin.Secure(api, tokens, op), func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	}
	register(huma.Operation{Method: http.MethodGet, Path: "/thing"})
	register(huma.Operation{Method: http.MethodPost, Path: "/thing"})
	register(admin.For(admin.Admin, huma.Operation{Method: http.MethodPost, Path: "/all"}))
	register(admin.For(admin.Viewer, huma.Operation{Method: http.MethodGet, Path: "/state"}))
	for token, allowed := range map[string]int{
		"vvvvvvvvvvvvvvvv": 1, "rrrrrrrrrrrrrrrr": 2, "oooooooooooooooo": 3, "aaaaaaaaaaaaaaaa": 4, "nnnnnnnnnnnnnnnn": 4,
	} {
		for n, call := range []func(...any) int{
			func(args ...any) int { return api.Get("/state", args...).Code },
			func(args ...any) int { return api.Get("/thing", args...).Code },
			func(args ...any) int { return api.Post("/thing", args...).Code },
			func(args ...any) int { return api.Post("/all", args...).Code },
		} {
			want := http.StatusForbidden
			if n < allowed {
				want = http.StatusNoContent
			}
			require.Equal(t, want, call("Authorization: Bearer "+token), "token %s, call %d", token, n)
		}
	}
	require.Contains(t, api.Post("/all", "Authorization: Bearer oooooooooooooooo").Body.String(), "opa has the role operator; this needs admin")
}

// A mistyped role must not be an admin's.
func TestParse_AWordThatIsNoRoleIsRefused(t *testing.T) {
	t.Parallel()
	for _, pair := range []string{"ann:viewr=a-token-of-some-length", "ann:=a-token-of-some-length", "ann:nobody=a-token-of-some-length", ":viewer=a-token-of-some-length"} {
		_, err := admin.Parse("TEST_TOKENS", []string{pair})
		require.Error(t, err, pair)
		require.NotContains(t, err.Error(), "length")
	}
}

func TestTokens_ReadOnlyMayRead(t *testing.T) {
	t.Parallel()
	who, err := everyRole(t).ReadOnly().Check(t.Context(), "127.0.0.1:1", "Bearer aaaaaaaaaaaaaaaa", "")
	require.NoError(t, err)
	require.Equal(t, admin.Holder{Name: "ada", Role: admin.Reader}, who)
	who, err = everyRole(t).ReadOnly().Check(t.Context(), "127.0.0.1:1", "Bearer vvvvvvvvvvvvvvvv", "")
	require.NoError(t, err)
	require.Equal(t, admin.Viewer, who.Role)
}

// Who is let in by this process needs no token, and may still do only what the role allows.
func TestAs_CallsWithoutAToken(t *testing.T) {
	t.Parallel()
	_, api := humatest.New(t)
	type answer struct{ Body string }
	huma.Register(api, admin.Secure(api, admin.Tokens{}, huma.Operation{OperationID: "change", Method: http.MethodPost, Path: "/change"}),
		func(ctx context.Context, _ *struct{}) (*answer, error) {
			return &answer{admin.Actor(ctx) + " of " + admin.Client(ctx)}, nil
		})
	as := func(role admin.Role) *http.Response {
		return api.PostCtx(admin.As(t.Context(), admin.Holder{Name: "ada", Role: role}, "10.0.0.1"), "/change").Result()
	}
	done := as(admin.Operator)
	defer done.Body.Close()
	require.Equal(t, http.StatusOK, done.StatusCode)
	refused := as(admin.Viewer)
	defer refused.Body.Close()
	require.Equal(t, http.StatusForbidden, refused.StatusCode)
}

// What a request is shown is what its token's role may see, or a lower one that it asks for, also
// where no token is needed.
func TestRoleOf_IsTheTokensOrALowerOne(t *testing.T) {
	t.Parallel()
	_, api := humatest.New(t)
	tokens := everyRole(t)
	readers, err := admin.ParseReaders("TEST_READ_TOKENS", []string{"plain=pppppppppppppppp", "service:admin=ssssssssssssssss"})
	require.NoError(t, err)
	tokens = tokens.And(readers)
	say := func(path string, wrap func(huma.Operation) huma.Operation) {
		huma.Register(api, wrap(huma.Operation{OperationID: path, Method: http.MethodGet, Path: path}),
			func(ctx context.Context, _ *struct{}) (*struct{ Body string }, error) {
				return &struct{ Body string }{admin.RoleOf(ctx).String()}, nil
			})
	}
	say("/guarded", func(op huma.Operation) huma.Operation { return admin.Reading(api, &tokens, tokens, false, op) })
	say("/open", func(op huma.Operation) huma.Operation { return admin.Reading(api, nil, tokens, true, op) })
	say("/unaware", func(op huma.Operation) huma.Operation { return admin.Reading(api, nil, tokens, false, op) })
	for _, path := range []string{"/guarded", "/open"} {
		for _, c := range []struct{ token, showTo, role string }{
			{"oooooooooooooooo", "", "operator"},
			{"aaaaaaaaaaaaaaaa", "", "admin"},
			{"pppppppppppppppp", "", "reader"},
			{"ssssssssssssssss", "", "admin"},
			{"aaaaaaaaaaaaaaaa", "operator", "operator"},
			{"pppppppppppppppp", "admin", "reader"},
			{"aaaaaaaaaaaaaaaa", "boss", "nobody"},
		} {
			args := []any{"Authorization: Bearer " + c.token}
			if c.showTo != "" {
				args = append(args, admin.HeaderShowTo+": "+c.showTo)
			}
			require.JSONEq(t, `"`+c.role+`"`, api.Get(path, args...).Body.String(), "%s %+v", path, c)
		}
		require.Equal(t, http.StatusUnauthorized, api.Get(path, "Authorization: Bearer xxxxxxxxxxxxxxxx").Code)
	}
	require.JSONEq(t, `"nobody"`, api.Get("/open").Body.String())
	require.JSONEq(t, `"nobody"`, api.Get("/unaware", "Authorization: Bearer aaaaaaaaaaaaaaaa").Body.String())
}
