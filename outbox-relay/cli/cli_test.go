package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
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
	require.Equal(t, `a\nb\tc`, cell("a\nb\tc"))
	require.Equal(t, `\u001b[31mred`, cell("\x1b[31mred"))
	require.Equal(t, "-", cell(""))
	require.Equal(t, "-", cell((*string)(nil)))
	require.Len(t, []rune(cell(strings.Repeat("ü", 500))), longestCell)
}

// What a row holds comes by way of a dead letter from one that may write a topic, and is looked at
// on a terminal.
func TestSession_PrintsAsManyLinesWhateverARowSays(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{"x\nstatus  published", "\x1b[1A\x1b[2K", "\x1b]52;c;b3duZWQ=\a", "\u009b2J", "\u202e", "\x7f", "\xff"} {
		var out bytes.Buffer
		s := &Session{Out: &out}
		s.table("A B", [][]any{{hostile, &hostile}})
		s.printf("error %s: %s %s\n", hostile, json.RawMessage(hostile), errors.New(hostile))
		require.Equal(t, 3, strings.Count(out.String(), "\n"), "%q", out.String())
		require.True(t, terminal.Plain(strings.ReplaceAll(out.String(), "\n", "")), "%q", out.String())
	}
}
