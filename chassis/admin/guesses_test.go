package admin

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"
	"github.com/stretchr/testify/require"
)

// Who guesses learns about 20 tokens at once, and then about one per second, also from parallel
// requests; the right token is not looked at either while an address is blocked.
func TestGuard_GuessesFromOneAddressAreSlowedDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens, err := Parse("TEST_TOKENS", []string{"ada=a-token-of-some-length"})
		require.NoError(t, err)
		_, api := humatest.New(t)
		huma.Register(api, huma.Operation{
			OperationID: "change", Method: http.MethodPost, Path: "/change", Middlewares: huma.Middlewares{Guard(api, tokens)},
		}, func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
		try := func(token string) int { return api.Post("/change", "Authorization: Bearer "+token).Code }

		for range guessBurst {
			require.Equal(t, http.StatusNoContent, try("a-token-of-some-length"))
			require.Equal(t, http.StatusUnauthorized, try("a-wrong-one"))
		}
		refused := api.Post("/change", "Authorization: Bearer a-token-of-some-length")
		require.Equal(t, http.StatusTooManyRequests, refused.Code, "the answer would tell")
		require.Equal(t, "1", refused.Header().Get("Retry-After"))

		looked := 0
		for range 1000 { // ten seconds
			if try("a-wrong-one") == http.StatusUnauthorized {
				looked++
			}
			<-time.After(10 * time.Millisecond)
		}
		require.InDelta(t, 10, looked, 1)

		<-time.After(guessInterval)
		require.Equal(t, http.StatusNoContent, try("a-token-of-some-length"), "after a second")
	})
}

func TestGuesses_AddressesAreKeptApartWithinABound(t *testing.T) {
	t.Parallel()
	g, now := newGuesses(), time.Now()
	for range guessBurst {
		g.wrong("10.0.0.1:1", now)
		g.wrong("[2001:db8::1]:1", now)
	}
	require.Positive(t, g.blocked("10.0.0.1:2", now))
	require.Positive(t, g.blocked("[2001:db8::2]:1", now), "one host has the whole /64")
	require.Zero(t, g.blocked("10.0.0.2:1", now))
	require.Zero(t, g.blocked("[2001:db8:0:1::1]:1", now))

	for i := range 3 * maxGuessers {
		g.wrong(fmt.Sprintf("10.%d.%d.%d:1", 1+i>>16, i>>8&255, i&255), now)
	}
	require.LessOrEqual(t, len(g.settled), maxGuessers+1)
	require.Positive(t, g.blocked("11.0.0.1:1", now), "those without a place share one")
	g.wrong("11.0.0.1:1", now.Add(time.Hour))
	require.Len(t, g.settled, 1+1, "who is settled gives the place away") // and the shared one, still in debt
}
