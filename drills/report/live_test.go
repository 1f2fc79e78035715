package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/drill"
	"waybill.example/drills/report"
)

// A line that is wider than the terminal takes one row all the same, so that what is drawn is all
// cleared: as many rows as there are lines.
func TestLive_ClearsWhatItHasDrawnOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	live := report.NewLive(&screen, true)
	live.Show(drill.Progress{Phase: "steady"})
	drawn := screen.String()
	lines, cut := strings.CutPrefix(drawn, "\x1b[?7l") // cut lines at the edge
	require.True(t, cut, "%q", drawn)
	lines, wrapped := strings.CutSuffix(lines, "\x1b[?7h") // as it was
	require.True(t, wrapped, "%q", drawn)
	require.Equal(t, 2, strings.Count(lines, "\n"))
	live.Clear()
	require.Equal(t, drawn+"\x1b[2A\x1b[J", screen.String())
}

func TestLive_WritesPlainLinesIntoAFile(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	live := report.NewLive(&file, false)
	live.Show(drill.Progress{Phase: "steady"})
	live.Clear()
	require.NotContains(t, file.String(), "\x1b")
	require.Equal(t, 1, strings.Count(file.String(), "\n"))
}
