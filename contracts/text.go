package contracts

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"waybill.example/chassis/plaintext"
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
		if plaintext.Control(r) {
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
		if plaintext.Control(r) {
			return invalid(field, fmt.Sprintf("must not contain the control character %U", r))
		}
	}
	return nil
}

// interoperable refuses what encoding/json would read as U+FFFD without a word: two different
// messages would be one. (RFC 7493, section 2.1.)
func interoperable(payload []byte) error {
	switch {
	case !utf8.Valid(payload):
		return errNotUTF8
	case plaintext.LoneSurrogate(payload):
		return errLoneSurrogate
	}
	return nil
}
