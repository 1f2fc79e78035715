// Package terminal keeps text that others wrote (a row, a message, a reason) from steering the
// terminal it is shown on. An escape sequence can repaint the lines above it, set the clipboard or
// the title; a newline can forge a line of an audit trail; a bidirectional override can make a
// sentence read as another.
package terminal

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"waybill.example/chassis/plaintext"
)

// Plain reports whether text is valid UTF-8 in which every character is shown as itself: no control
// character (newlines and tabs are some), no bidirectional override, no line separator.
func Plain(text string) bool {
	for i, r := range text {
		if plaintext.Control(r) || r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return false
		}
	}
	return true
}

// Clean returns text as one line that shows what it holds and does nothing: what is not [Plain] is
// written as JSON writes it, \n or \u001b or \u202e; a byte that is no UTF-8 as \xff.
func Clean(text string) string {
	if Plain(text) {
		return text
	}
	return string(appendClean(nil, []byte(text), false))
}

func appendClean(out, text []byte, keepNewlines bool) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			const hex = "0123456789abcdef"
			out = append(out, '\\', 'x', hex[text[0]>>4], hex[text[0]&15])
		case plaintext.Control(r) && (r != '\n' || !keepNewlines):
			out = appendEscape(out, r)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}

// appendEscape writes a character as JSON does, so that JSON stays JSON.
func appendEscape(out []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(out, `\n`...)
	case r == '\r':
		return append(out, `\r`...)
	case r == '\t':
		return append(out, `\t`...)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// Fprintf is [fmt.Fprintf] with every text among args cleaned: what they hold is one line each, and
// the lines are those of format.
func Fprintf(w io.Writer, format string, args ...any) {
	cleaned := make([]any, len(args))
	for i, arg := range args {
		cleaned[i] = clean(arg)
	}
	_, _ = fmt.Fprintf(w, format, cleaned...) // it is for people: nothing is left to do where they cannot be reached
}

func clean(arg any) any {
	switch v := arg.(type) {
	case string:
		return Clean(v)
	case error:
		return Clean(v.Error())
	case fmt.Stringer:
		if text := v.String(); !Plain(text) {
			return Clean(text)
		}
		return arg
	}
	switch v := reflect.ValueOf(arg); {
	case v.Kind() == reflect.String:
		return Clean(v.String())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return Clean(string(v.Bytes()))
	}
	return arg
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
