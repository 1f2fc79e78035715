package httpapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
)

// A cursor that is let through names a saga in plain text, and is read as the same again.
func FuzzParseCursor_NamesASagaOrRefuses(f *testing.F) {
	for _, seed := range []string{"", "MjAyNi0wMS0wMVQwMDowMDowMFogb3JkZXIAMQ", "AAAA", "====", "MjAyNiAAMQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cursor, err := parseCursor(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, cursor.ID)
		require.True(t, terminal.Plain(cursor.ID+cursor.Definition))
		again, err := parseCursor(formatCursor(cursor))
		require.NoError(t, err)
		require.WithinDuration(t, cursor.StartedAt, again.StartedAt, time.Nanosecond)
		require.Equal(t, cursor.ID, again.ID)
	})
}
