package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/terminal"
)

// What a row or a message says must neither act on the terminal that the log is read on, nor hide
// what comes after it on its line.
func TestLogger_ShowsHostileTextAndAllThatFollows(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{"a\x1b]0;owned\a", "a\x1b[2K", "a\xffb", "a\ufffdb", "a\nforged line", "a\u202eb", "a\u009b2J"} {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			log := telemetry.Logger(telemetry.Config{LogFormat: format, LogLevel: slog.LevelInfo}, "test", &out)
			log.Info("a row is stuck", "topic", hostile, "error", errors.New(hostile), "after", "it")
			require.Equal(t, 1, strings.Count(out.String(), "\n"), "%q: %s", hostile, out.String())
			require.Contains(t, strings.ReplaceAll(out.String(), `"`, ""), map[string]string{"text": "after=it", "json": "after:it"}[format])
			if format == "text" {
				require.True(t, terminal.Plain(strings.TrimSuffix(out.String(), "\n")), "%q", out.String())
			}
		}
	}
}
