package httpserver

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// duplicateName returns an error if an object in the body, which is valid JSON, names a field
// twice. It looks at brackets and strings only: every request with a body comes through here, and a
// third reading of it by encoding/json costs as much as the first two.
func duplicateName(body []byte) error {
	type level struct {
		names map[string]bool // nil: an array
		value bool            // what comes next is the value of a name
	}
	var open []level
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{':
			open = append(open, level{names: make(map[string]bool, 8)})
		case '[':
			open = append(open, level{})
		case '}', ']':
			open = open[:len(open)-1]
		case ':':
			open[len(open)-1].value = true
		case ',':
			open[len(open)-1].value = false
		case '"':
			end := i + stringLength(body[i:])
			if n := len(open); n > 0 && open[n-1].names != nil && !open[n-1].value {
				name := unquoted(body[i:end])
				if open[n-1].names[name] {
					return fmt.Errorf("duplicate field %q", name)
				}
				open[n-1].names[name] = true
			}
			i = end - 1
		}
	}
	return nil
}

// stringLength returns the length of the string that valid JSON begins with, both quotes included.
func stringLength(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}

// unquoted returns what a JSON string says.
func unquoted(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	var s string
	_ = json.Unmarshal(text, &s) // it is known to be valid
	return s
}
