// Package plaintext finds characters that are not text, and halves of characters. Messages, HTTP
// bodies and terminals ask it alike, so that what one of them accepts another can show.
package plaintext

import (
	"bytes"
	"strconv"
	"unicode"
)

// Control reports whether r acts on the terminal, the log or the page that it is shown on: a
// control character (newlines and tabs are some), a bidirectional or other invisible format
// character, or a line separator. The joiners (U+200C, U+200D) are format characters as well, but
// words of some languages need them.
func Control(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
		return true
	case r < 0xa0, r == '\u200c', r == '\u200d':
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

// LoneSurrogate reports whether JSON escapes half of a character: \ud83d without \ude00, or the
// like, after it. encoding/json reads it as U+FFFD without an error, and two different texts become
// one (RFC 7493, section 2.1).
func LoneSurrogate(json []byte) bool {
	if !bytes.Contains(json, []byte(`\u`)) {
		return false
	}
	for i := 0; i < len(json); i++ {
		if json[i] != '\\' {
			continue
		}
		unit, isUnit := escapedUnit(json[i:])
		switch {
		case !isUnit:
			i++ // \\ or \n: the next byte is no escape of its own
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			low, ok := escapedUnit(json[i+6:])
			if !ok || low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

// EscapedNUL reports whether JSON escapes a NUL (\u0000), which neither Postgres nor anything
// written in C takes for text.
func EscapedNUL(json []byte) bool {
	if !bytes.Contains(json, []byte(`\u0000`)) {
		return false
	}
	for i := 0; i < len(json); i++ {
		if json[i] != '\\' {
			continue
		}
		if unit, isUnit := escapedUnit(json[i:]); isUnit && unit == 0 {
			return true
		}
		i++ // the byte behind a backslash begins no escape of its own
	}
	return false
}

// escapedUnit reads \uXXXX at the front of text.
func escapedUnit(text []byte) (uint16, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return uint16(unit), err == nil
}
