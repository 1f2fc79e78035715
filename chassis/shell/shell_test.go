package shell_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/shell"
)

func TestCommand_QuotesWhatAShellWouldRead(t *testing.T) {
	t.Parallel()
	line, err := shell.Command("outbox-relay", "replay", "--topic=x; touch /tmp/owned #", "--yes")
	require.NoError(t, err)
	require.Equal(t, `outbox-relay replay '--topic=x; touch /tmp/owned #' --yes`, line)

	line, err = shell.Command("outbox-relay", "replay", "--database=orders", "--topic=orders.v1", "A=b", "it's", "")
	require.NoError(t, err)
	require.Equal(t, `outbox-relay replay --database=orders --topic=orders.v1 'A=b' 'it'\''s' ''`, line)
}

func TestCommand_RefusesWhatATerminalWouldReadFirst(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"a\nb", "\x1b[200~", "\u202e", "\x00", "\xff", "\x03", "\u0085"} {
		_, err := shell.Command("x", word)
		require.Error(t, err, "%q", word)
	}
}

// Whatever the words are, the shells find the same ones again, and run nothing.
func FuzzCommand_IsTheseWordsToEveryShell(f *testing.F) {
	for _, seed := range []string{"x; touch /tmp/owned #", "$(id)", "`id`", "'", `\`, "!!", "*", "~", "{a,b}", "-n", "a=b", "", "a b"} {
		f.Add(seed, seed)
	}
	shells := []string{"sh"}
	if bash, err := exec.LookPath("bash"); err == nil {
		shells = append(shells, bash)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		line, err := shell.Command("printf", "<%s>", a, b, "end")
		if err != nil {
			return
		}
		for _, sh := range shells {
			out, err := exec.CommandContext(t.Context(), sh, "-c", line).Output()
			require.NoError(t, err, line)
			require.Equal(t, "<"+a+"><"+b+"><end>", string(out), "%s: %s", sh, line)
		}
	})
}

func ExampleCommand() {
	line, err := shell.Command("outbox-relay", "replay", "--key=it's 17")
	if err != nil {
		panic(err)
	}
	if !strings.HasPrefix(line, "outbox-relay") {
		panic(line)
	}
}
