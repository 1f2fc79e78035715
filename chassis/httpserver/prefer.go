package httpserver

import (
	"strconv"
	"strings"
	"time"
)

// preferredWait returns the wait that a client prefers (RFC 7240 §4.3), from all Prefer fields of
// its request. ok is false where there is no valid one: a preference is never an
// error. Of several, the first counts (§2), whether or not it can be understood.
func preferredWait(fields []string) (wait time.Duration, ok bool) {
	for _, field := range fields {
		for preference := range splitUnquoted(field, ',') {
			for part := range splitUnquoted(preference, ';') { // what follows are parameters, which wait has none of
				name, value, _ := strings.Cut(part, "=")
				if strings.EqualFold(strings.Trim(name, " \t"), "wait") {
					return deltaSeconds(unquote(strings.Trim(value, " \t")))
				}
				break
			}
		}
	}
	return 0, false
}

// maxDelta stands for a wait of more digits than fit: it is longer than any that is granted.
const maxDelta = 24 * time.Hour

// deltaSeconds reads a number of seconds: digits only (RFC 9110 §1.2.2 on what does not fit).
func deltaSeconds(text string) (time.Duration, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > uint64(maxDelta/time.Second) {
		return maxDelta, true
	}
	return time.Duration(n) * time.Second, true
}

// splitUnquoted yields the parts of a field between separators that are not within quotes.
func splitUnquoted(field string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(field); i++ {
			switch {
			case quoted && field[i] == '\\':
				i++
			case field[i] == '"':
				quoted = !quoted
			case field[i] == separator && !quoted:
				if !yield(field[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(field[start:])
	}
}

// unquote returns what a quoted-string says, and anything else as it is.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value)-1; i++ {
		if value[i] == '\\' {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}
