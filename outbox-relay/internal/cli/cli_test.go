package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAMomentIsATimeOrHowLongAgoItWas(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h":                        now.Add(-2 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
		"2026-11-22T10:00:00Z":      now.Add(-24 * time.Hour),
		"2026-11-23T11:00:00+01:00": now,
	} {
		got, err := moment(text, now)
		require.NoError(t, err)
		require.True(t, want.Equal(*got), "%s: %v", text, got)
	}
	none, err := moment("", now)
	require.NoError(t, err)
	require.Nil(t, none)
	_, err = moment("yesterday", now)
	require.Error(t, err)
}

// What a database holds must neither break a table nor move the cursor of a terminal.
func TestACellIsOneShortLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b c", cell("a\nb\tc"))
	require.Equal(t, " [31mred", cell("\x1b[31mred"))
	require.Equal(t, "-", cell(""))
	require.Equal(t, "-", cell((*string)(nil)))
	require.Len(t, []rune(cell(strings.Repeat("ü", 500))), longestCell)
}
