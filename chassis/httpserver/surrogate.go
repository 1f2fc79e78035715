package httpserver

import "strconv"

// loneSurrogate reports whether a body escapes half of a character: \ud83d without \ude00, or the like, right
// behind it. encoding/json reads it as U+FFFD without a word, and two different bodies would be one. (RFC 7493,
// section 2.1.)
func loneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		unit, isUnit := escapedUnit(body[i:])
		switch {
		case !isUnit:
			i++ // \\ or \n: the next byte is no escape of its own
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			low, ok := escapedUnit(body[i+6:])
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
