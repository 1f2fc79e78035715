package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATokenIsKnownByItsName(t *testing.T) {
	t.Parallel()
	tokens, err := ParseTokens([]string{"ada=correct=horse", " bob=battery-staple"})
	require.NoError(t, err)
	for header, want := range map[string]string{
		"Bearer correct=horse": "ada", "bearer battery-staple": "bob",
		"Bearer correct": "", "Bearer ": "", "": "", "correct=horse": "", "Basic correct=horse": "", "Bearer ada": "",
	} {
		name, ok := tokens.actor(header)
		require.Equal(t, want != "", ok, header)
		if ok {
			require.Equal(t, want, name)
		}
	}
}

func TestPairsThatAreNoTokensAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	_, err := ParseTokens([]string{"ada=short", "justasecret", "=nameless-token"})
	require.ErrorContains(t, err, "pair 1")
	require.ErrorContains(t, err, "pair 2")
	require.ErrorContains(t, err, "pair 3")
	require.NotContains(t, err.Error(), "secret")
	_, err = ParseTokens(nil)
	require.NoError(t, err)
}
