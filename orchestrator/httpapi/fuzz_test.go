package httpapi

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// A cursor that is let through names a saga, and is read as the same again.
func FuzzParseCursor_NamesASagaOrRefuses(f *testing.F) {
	for _, seed := range []string{"", "MjAyNi0wMS0wMVQwMDowMDowMFoAb3JkZXIAMQ", "AAAA", "====", "MjAyNgBvcmRlcgAx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := parseCursor(text)
		if err != nil || text == "" {
			return
		}
		require.NotEmpty(t, cursor.ID)
		require.True(t, utf8.ValidString(cursor.ID+cursor.Definition))
		again, err := parseCursor(formatCursor(cursor))
		require.NoError(t, err)
		require.WithinDuration(t, cursor.StartedAt, again.StartedAt, time.Nanosecond)
		require.Equal(t, cursor.ID, again.ID)
	})
}
