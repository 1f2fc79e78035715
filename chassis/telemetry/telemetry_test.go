package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/telemetry"
)

func TestLogger_JSONNamesTheService(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.Logger(telemetry.Config{LogFormat: "json"}, "orders", &out).Info("order accepted", "order_id", 17)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "orders", line["service"])
	require.InDelta(t, 17, line["order_id"], 0)
}

func TestLogger_TextHasNoColourOutsideATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.Logger(telemetry.Config{LogFormat: "text", LogLevel: slog.LevelInfo}, "orders", &out)
	log.Debug("hidden")
	log.Info("shown", "order_id", 17)
	require.Contains(t, out.String(), "shown order_id=17")
	require.NotContains(t, out.String(), "hidden")
	require.NotContains(t, out.String(), "\x1b")
}

func TestConfig_AnUnknownLogFormatIsInvalid(t *testing.T) {
	t.Parallel()
	require.Len(t, telemetry.Config{LogFormat: "xml"}.Validate(), 1)
	require.Empty(t, telemetry.Config{LogFormat: "json"}.Validate())
}

func TestMetrics_HaveTheProcess(t *testing.T) {
	t.Parallel()
	families, err := telemetry.Metrics().Gather()
	require.NoError(t, err)
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	require.Contains(t, strings.Join(names, " "), "process_resident_memory_bytes")
}
