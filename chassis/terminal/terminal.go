// Package terminal keeps text that others wrote (a row, a message, a reason) from steering the
// terminal it is shown on. An escape sequence can repaint the lines above it, set the clipboard or
// the title; a newline can forge a line of an audit trail; a bidirectional override can make a
// sentence read as another.
package terminal

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain reports whether text is valid UTF-8 in which every character is shown as itself: no control
// character (newlines and tabs are some), no bidirectional override, no line separator.
func Plain(text string) bool {
	for i, r := range text {
		if steers(r) || r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return false
		}
	}
	return true
}

// Clean returns text as one line that shows what it holds and does nothing: what is not [Plain] is
// written as Go writes it, \n or \x1b or \u202e.
func Clean(text string) string {
	if Plain(text) {
		return text
	}
	return string(appendClean(nil, []byte(text), false))
}

// steers reports whether a character acts on the terminal or on the text around it. The joiners
// (U+200C, U+200D) are format characters as well, but words of some languages need them.
func steers(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
		return true
	case r < 0xa0, r == '\u200c', r == '\u200d':
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

func appendClean(out, text []byte, keepNewlines bool) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			const hex = "0123456789abcdef"
			out = append(out, '\\', 'x', hex[text[0]>>4], hex[text[0]&15])
		case steers(r) && (r != '\n' || !keepNewlines):
			quoted := strconv.AppendQuoteRuneToASCII(nil, r)
			out = append(out, quoted[1:len(quoted)-1]...)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

// Writer cleans all that is written through it, and lets newlines pass: the last line of defence of
// a command whose fields are each cleaned already.
func Writer(w io.Writer) io.Writer { return &writer{to: w} }

type writer struct {
	to   io.Writer
	rest []byte // the beginning of a character that the last Write has cut
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	text := append(w.rest, p...)
	whole := len(text) - cutRune(text)
	if _, err := w.to.Write(appendClean(nil, text[:whole], true)); err != nil {
		return 0, err
	}
	w.rest = append([]byte(nil), text[whole:]...)
	return len(p), nil
}

// cutRune returns how many bytes at the end of text are the beginning of a character.
func cutRune(text []byte) int {
	for n := 1; n <= min(len(text), utf8.UTFMax-1); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
