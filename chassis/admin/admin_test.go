package admin_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"
	"github.com/stretchr/testify/require"

	"waybill/chassis/admin"
)

// serve answers with the name of whoever is let in.
func serve(t *testing.T, pairs ...string) humatest.TestAPI {
	t.Helper()
	tokens, err := admin.Parse("TEST_TOKENS", pairs)
	require.NoError(t, err)
	_, api := humatest.New(t)
	type answer struct{ Body string }
	huma.Register(api, huma.Operation{
		OperationID: "change", Method: http.MethodPost, Path: "/change",
		Middlewares: huma.Middlewares{admin.Guard(api, tokens)},
	}, func(ctx context.Context, _ *struct{}) (*answer, error) { return &answer{admin.Actor(ctx)}, nil })
	return api
}

func TestATokenIsKnownByItsName(t *testing.T) {
	t.Parallel()
	api := serve(t, "ada=correct=horse", " bob=battery-staple")
	for header, want := range map[string]string{
		"Bearer correct=horse": "ada", "bearer battery-staple": "bob",
		"Bearer correct": "", "Bearer ": "", "": "", "correct=horse": "", "Basic correct=horse": "", "Bearer ada": "",
	} {
		response := api.Post("/change", "Authorization: "+header)
		if want == "" {
			require.Equal(t, http.StatusUnauthorized, response.Code, header)
			require.Equal(t, "Bearer", response.Header().Get("WWW-Authenticate"))
			continue
		}
		require.Equal(t, http.StatusOK, response.Code, header)
		require.JSONEq(t, `"`+want+`"`, response.Body.String())
	}
}

func TestWithoutTokensChangesAreOff(t *testing.T) {
	t.Parallel()
	response := serve(t).Post("/change", "Authorization: Bearer correct=horse")
	require.Equal(t, http.StatusForbidden, response.Code)
	require.Contains(t, response.Body.String(), "set TEST_TOKENS to name=token pairs")
}

func TestPairsThatAreNoTokensAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	_, err := admin.Parse("TEST_TOKENS", []string{"ada=short", "justasecret", "=nameless-token"})
	require.ErrorContains(t, err, "TEST_TOKENS: pair 1")
	require.ErrorContains(t, err, "pair 2")
	require.ErrorContains(t, err, "pair 3")
	require.NotContains(t, err.Error(), "secret")
	_, err = admin.Parse("TEST_TOKENS", nil)
	require.NoError(t, err)
}
