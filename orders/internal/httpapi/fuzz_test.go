package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A cursor is what a page gave out, and whatever else a client sends is refused.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "AAAAAAAAEmc", "AAAAAAAAAAA", "__________8", "x", "AAAAAAAAEmcAAA", "AAAAAAAAEmd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last, err := parseCursor(text)
		if err != nil || text == "" {
			require.Zero(t, last)
			return
		}
		require.Positive(t, last)
		require.Equal(t, text, cursor(last))
	})
}
