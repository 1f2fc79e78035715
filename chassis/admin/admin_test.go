package admin_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
)

// serve answers with the name of the operator.
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

func TestGuard_KnowsATokenByItsName(t *testing.T) {
	t.Parallel()
	api := serve(t, "ada=correct=horse-battery", " bob=battery-staple-horse")
	for header, want := range map[string]string{
		"Bearer correct=horse-battery": "ada", "bearer battery-staple-horse": "bob",
		"Bearer correct": "", "Bearer ": "", "": "", "correct=horse-battery": "", "Basic correct=horse-battery": "", "Bearer ada": "",
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

func TestGuard_WithoutTokensChangesAreOff(t *testing.T) {
	t.Parallel()
	response := serve(t).Post("/change", "Authorization: Bearer correct=horse-battery")
	require.Equal(t, http.StatusForbidden, response.Code)
	require.Contains(t, response.Body.String(), "set TEST_TOKENS to name=token pairs")
}

func TestGuard_LetsEverybodyInWhereTokensAreOptional(t *testing.T) {
	t.Parallel()
	const remote = "192.0.2.7:1234"
	tokens, err := admin.Parse("TEST_TOKENS", []string{"ada=a-token-of-some-length"})
	require.NoError(t, err)
	_, api := humatest.New(t)
	type answer struct{ Body string }
	op := admin.Secure(api, tokens.Optional(), huma.Operation{OperationID: "change", Method: http.MethodPost, Path: "/change"})
	require.Len(t, op.Security, 2, "one of them needs nothing")
	huma.Register(api, op, func(ctx context.Context, _ *struct{}) (*answer, error) { return &answer{admin.Actor(ctx)}, nil })
	require.JSONEq(t, `""`, api.Post("/change").Body.String())
	require.JSONEq(t, `"ada"`, api.Post("/change", "Authorization: Bearer a-token-of-some-length").Body.String())
	require.Equal(t, http.StatusUnauthorized, api.Post("/change", "Authorization: Bearer another").Code, "a token that is wrong is no accident")
	_, err = tokens.Optional().Check(t.Context(), remote, "", "change")
	require.NoError(t, err)
	_, err = tokens.Optional().Check(t.Context(), remote, "Bearer another", "change")
	require.ErrorIs(t, err, admin.ErrUnknown)
	_, err = tokens.Check(t.Context(), remote, "", "change")
	require.ErrorIs(t, err, admin.ErrUnknown)
}

func TestParse_RefusesMalformedPairsWithoutShowingThem(t *testing.T) {
	t.Parallel()
	_, err := admin.Parse("TEST_TOKENS", []string{"ada=short", "justasecret", "=nameless-token"})
	require.ErrorContains(t, err, "TEST_TOKENS: pair 1")
	require.ErrorContains(t, err, "pair 2")
	require.ErrorContains(t, err, "pair 3")
	require.NotContains(t, err.Error(), "secret")
	_, err = admin.Parse("TEST_TOKENS", nil)
	require.NoError(t, err)
}

func TestParse_RefusesATokenOrNameThatIsThereTwice(t *testing.T) {
	t.Parallel()
	for _, pairs := range [][]string{
		{"ada=a-token-of-some-length", "bob=a-token-of-some-length"},
		{"ada=a-token-of-some-length", "ada=another-of-some-length"},
		{"ada\nbob=a-token-of-some-length"},
		{"ada=fifteen-letters"},
	} {
		_, err := admin.Parse("TEST_TOKENS", pairs)
		require.Error(t, err, pairs)
		require.NotContains(t, err.Error(), "length")
	}
}

// Guessing leaves a trace: one line per second, however many guesses there are, and a count.
func TestGuard_RefusalsAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	tokens, err := admin.Parse("TEST_TOKENS", []string{"ada=a-token-of-some-length"})
	require.NoError(t, err)
	_, api := humatest.New(t)
	huma.Register(api, huma.Operation{
		OperationID: "change", Method: http.MethodPost, Path: "/change",
		Middlewares: huma.Middlewares{admin.Guard(api, tokens.Observed(slog.New(slog.NewTextHandler(&log, nil)), reg))},
	}, func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	for range 100 {
		code := api.Post("/change", "Authorization: Bearer wrong-token-of-length").Code
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests}, code)
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	require.NotContains(t, log.String(), "wrong-token")
	families, err := reg.Gather()
	require.NoError(t, err)
	require.InDelta(t, 100, families[0].GetMetric()[0].GetCounter().GetValue(), 0)
}

func TestSecure_GuardsAndDeclaresIt(t *testing.T) {
	t.Parallel()
	tokens, err := admin.Parse("TEST_TOKENS", []string{"ada=a-token-of-some-length"})
	require.NoError(t, err)
	_, api := humatest.New(t)
	huma.Register(api, admin.Secure(api, tokens, huma.Operation{OperationID: "change", Method: http.MethodPost, Path: "/change"}),
		func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	require.Equal(t, http.StatusUnauthorized, api.Post("/change").Code)
	require.Equal(t, http.StatusNoContent, api.Post("/change", "Authorization: Bearer a-token-of-some-length").Code)
	operation := api.OpenAPI().Paths["/change"].Post
	require.Contains(t, operation.Responses, "401")
	for name := range operation.Security[0] {
		require.Contains(t, api.OpenAPI().Components.SecuritySchemes, name)
	}
}
