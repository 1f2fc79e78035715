package contracts

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxReasonRunes is how long a reason may be, in characters (Unicode code points).
const MaxReasonRunes = 1000

var (
	errNotUTF8       = errors.New("the message is not UTF-8")
	errLoneSurrogate = errors.New("the message holds half of a character (a lone surrogate)")
)

// Reason makes a reason that messages can carry of any text: control characters become spaces, and
// what is too long is cut. It is for who composes a message; one that arrives has to be right.
func Reason(text string) string {
	text = strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if utf8.RuneCountInString(text) <= MaxReasonRunes {
		return text
	}
	return string([]rune(text)[:MaxReasonRunes-1]) + "…"
}

// plain refuses characters that are no text: they would act on the terminal, the log or the page
// that the text is shown on. Postgres cannot even store one of them.
func plain(field, value string) error {
	for _, r := range value {
		if control(r) {
			return invalid(field, fmt.Sprintf("must not contain the control character %U", r))
		}
	}
	return nil
}

// control reports whether r is a control character, a bidirectional or other invisible format
// character, or a line separator. The joiners (U+200C, U+200D) are parts of words.
func control(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
		return true
	case r < 0xa0, r == '\u200c', r == '\u200d':
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

// interoperable refuses what encoding/json would read as U+FFFD without a word: two different
// messages would be one. (RFC 7493, section 2.1.)
func interoperable(payload []byte) error {
	switch {
	case !utf8.Valid(payload):
		return errNotUTF8
	case bytes.Contains(payload, []byte(`\u`)) && loneSurrogate(payload):
		return errLoneSurrogate
	}
	return nil
}

// loneSurrogate looks at the escapes of JSON: \ud83d is half of a character unless \ude00, or the
// like, follows at once.
func loneSurrogate(json []byte) bool {
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

// escapedUnit reads \uXXXX at the front of text.
func escapedUnit(text []byte) (uint16, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return uint16(unit), err == nil
}
