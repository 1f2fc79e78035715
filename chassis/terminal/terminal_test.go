package terminal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
)

func TestClean_ShowsWhatWouldSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"burger, 2 × „Käse“ 汉堡":                               "burger, 2 × „Käse“ 汉堡",
		"\u0915\u094d\u200d\u0937 \U0001f469\u200d\U0001f4bb": "\u0915\u094d\u200d\u0937 \U0001f469\u200d\U0001f4bb", // joiners belong to words
		"ok\n19:00 force by carol":                            `ok\n19:00 force by carol`,
		"a\tb\r\x00\x7f":                                      `a\tb\r\u0000\u007f`,
		"\x1b]0;owned\a\x1b[1A\x1b[2K":                        `\u001b]0;owned\u0007\u001b[1A\u001b[2K`,
		"\u009b31m":                                           `\u009b31m`,
		"\x9b31m\xff":                                         `\x9b31m\xff`,
		"user\u202etxt.exe\u2066":                             `user\u202etxt.exe\u2066`,
		"one\u2028two\u2029\ufeff\u200b":                      `one\u2028two\u2029\ufeff\u200b`,
		"a tag \U000e0041":                                    `a tag \udb40\udc41`,
		"a replacement \uFFFD is text":                        "a replacement \uFFFD is text",
		"":                                                    "",
	} {
		require.Equal(t, want, terminal.Clean(text))
		require.Equal(t, text == want, terminal.Plain(text), "%q", text)
	}
}

func FuzzClean_IsOnePlainLine(f *testing.F) {
	f.Add("ok\n\x1b[2K\xe2\x80")
	f.Fuzz(func(t *testing.T, text string) {
		clean := terminal.Clean(text)
		require.True(t, terminal.Plain(clean), "%q", clean)
		require.Equal(t, clean, terminal.Clean(clean))
		var lines bytes.Buffer
		w := terminal.Writer(&lines)
		_, err := io.Copy(w, iotest.OneByteReader(strings.NewReader(text+"\n")))
		require.NoError(t, err)
		require.True(t, utf8.Valid(lines.Bytes()))
		require.Equal(t, strings.Count(text, "\n")+1, strings.Count(lines.String(), "\n"))
		require.Equal(t, -1, strings.IndexFunc(lines.String(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }))
	})
}

func TestWriter_LetsCharactersPassThatComeInPieces(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	_, err := io.Copy(terminal.Writer(&out), iotest.OneByteReader(strings.NewReader("汉堡 \x1b[2K\u009b\n")))
	require.NoError(t, err)
	require.Equal(t, `汉堡 \u001b[2K\u009b`+"\n", out.String())
}

type name string

// One table of what others may have written, through the printer that all commands have: no control
// character but newlines, and the lines are ours.
func TestFprintf_PrintsItsOwnLinesAndNoOthers(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		"ok\n19:00:00 intervened force by carol", "\x1b[1A\x1b[2Kstatus published", "\x1b]52;c;b3duZWQ=\a", "\u009b2J", "\x9b2J", "\r\rforged",
		"\u202egnp.exe", "a\u2028b", "\x00", "\x7f", "\t", "\xff\xfe", "\v\f", "\u2066\u2069", "\ufeff", "\U000e0041",
	} {
		var out bytes.Buffer
		terminal.Fprintf(&out, "%s %s %s %v %q %v\n", hostile, name(hostile), []byte(hostile), errors.New(hostile), hostile, json.RawMessage(hostile))
		require.Equal(t, 1, strings.Count(out.String(), "\n"), "%q", hostile)
		require.True(t, terminal.Plain(strings.TrimSuffix(out.String(), "\n")), "%q", out.String())
	}
	var out bytes.Buffer
	terminal.Fprintf(&out, "%d rows of %s in %s\n", 3, "orders", time.Second)
	require.Equal(t, "3 rows of orders in 1s\n", out.String())
}
