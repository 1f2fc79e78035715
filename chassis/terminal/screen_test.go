package terminal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
)

func TestScreen_IsATerminalThatTakesEscapeSequences(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	require.NoError(t, err)
	defer func() { _ = device.Close() }()
	t.Setenv("NO_COLOR", "")
	for kind, takes := range map[string]bool{"xterm-256color": true, "dumb": false, "": false} {
		t.Setenv("TERM", kind)
		require.Equal(t, takes, terminal.Screen(device), kind)
		require.Equal(t, takes, terminal.Coloured(device), kind)
	}
	t.Setenv("TERM", "xterm")
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	require.False(t, terminal.Screen(file))
	require.False(t, terminal.Screen(new(bytes.Buffer)))
	t.Setenv("NO_COLOR", "1")
	require.True(t, terminal.Screen(device))
	require.False(t, terminal.Coloured(device))
}
