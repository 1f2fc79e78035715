package saga

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTextRunes is how long a reason or a note of a saga can be. Participants write
// reasons, others are sent them and may hold them to limits of their own: so
// they are cut once, here, where they become the saga's.
const MaxTextRunes = 1000

// Text makes a text that others wrote one that can be kept and
// show: valid UTF-8 on one line, without control characters, at most
// [MaxTextRunes] long. A text that was cut ends in an ellipsis.
func Text(s string) string {
	if len(s) <= MaxTextRunes && plain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) <= MaxTextRunes {
		return s
	}
	return string([]rune(s)[:MaxTextRunes-1]) + "…"
}

// control reports whether r is a control character, a line separator, or a format
// character that is not seen, such as one that turns the direction of the text.
// The joiners (U+200C, U+200D) are parts of words.
func control(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// plain says whether s needs no change; most texts are short ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s == "" || s[0] != ' ' && s[len(s)-1] != ' '
}
