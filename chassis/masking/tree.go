package masking

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// node is a value of a JSON text, and where in it it is. Objects keep their members in their order
// and as often as they are there: what a map would make of them is not what other readers do.
type node struct {
	start, end int
	kind       byte     // its first byte
	names      []string // of an object's members, without escapes
	values     []*node  // of an object or an array
	hidden     bool
}

// Errors of what cannot be taken apart.
var (
	errNotJSON = errors.New("it cannot be read as JSON, so that its fields cannot be told apart")
	errNotUTF8 = errors.New("it is not UTF-8, so that its fields cannot be told apart")
)

// parse takes a JSON text apart.
func parse(text []byte) (*node, error) {
	switch {
	case !utf8.Valid(text):
		return nil, errNotUTF8
	case !json.Valid(text): // it bounds the depth, too
		return nil, errNotJSON
	}
	s := scanner{text: text}
	return s.value(), nil
}

// scanner reads a text that is valid.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) space() {
	for strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) value() *node {
	s.space()
	n := &node{start: s.at, kind: s.text[s.at]}
	switch n.kind {
	case '{', '[':
		s.inside(n)
	case '"':
		s.skipString()
	default:
		for s.at < len(s.text) && strings.IndexByte(",]} \t\r\n", s.text[s.at]) < 0 {
			s.at++
		}
	}
	n.end = s.at
	return n
}

// inside reads what is between brackets.
func (s *scanner) inside(n *node) {
	for s.at++; ; s.at++ { // past the bracket, or a comma
		s.space()
		if c := s.text[s.at]; c == '}' || c == ']' {
			s.at++
			return
		}
		if n.kind == '{' {
			from := s.at
			s.skipString()
			var name string
			_ = json.Unmarshal(s.text[from:s.at], &name) // a string of a valid text
			n.names = append(n.names, name)
			s.space()
			s.at++ // the colon
		}
		n.values = append(n.values, s.value())
		s.space()
		if s.text[s.at] != ',' {
			s.at++
			return
		}
	}
}

func (s *scanner) skipString() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

func (n *node) hides() bool {
	if n.hidden {
		return true
	}
	for _, v := range n.values {
		if v.hides() {
			return true
		}
	}
	return false
}

// masked is the text with what is hidden replaced, and every other byte as it was.
func (n *node) masked(text []byte) []byte {
	out, done := make([]byte, 0, len(text)), 0
	n.each(func(hidden *node) {
		out = append(append(out, text[done:hidden.start]...), quoted...)
		done = hidden.end
	})
	return append(out, text[done:]...)
}

// each calls do for what is hidden as a whole, in the order of the text.
func (n *node) each(do func(*node)) {
	if n.hidden {
		do(n)
		return
	}
	for _, v := range n.values {
		v.each(do)
	}
}

// str is the value of a string; false: it is none.
func (n *node) str(text []byte) (s string, ok bool) {
	if n.kind != '"' {
		return "", false
	}
	return s, json.Unmarshal(text[n.start:n.end], &s) == nil
}

// secrets are the values that are hidden, as texts quote them.
func (n *node) secrets(text []byte, inside bool, all []string) []string {
	inside = inside || n.hidden
	for i, v := range n.values {
		if inside && n.kind == '{' {
			all = secret(all, n.names[i])
		}
		all = v.secrets(text, inside, all)
	}
	if !inside || len(n.values) > 0 || n.kind == 't' || n.kind == 'f' || n.kind == 'n' {
		return all
	}
	if s, is := n.str(text); is {
		all = secret(all, s)
	}
	return secret(all, strings.Trim(string(text[n.start:n.end]), `"`))
}

func secret(all []string, s string) []string {
	if len(s) < shortest {
		return all
	}
	return append(all, s)
}
