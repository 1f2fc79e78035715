package cursor

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the set as Postgres writes an int8multirange: {[1,5),[7,9)}.
func (s *Set) String() string {
	text := make([]byte, 0, 2+24*len(s.ranges))
	text = append(text, '{')
	for i, r := range s.ranges {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, '[')
		text = strconv.AppendInt(text, r.Lo, 10)
		text = append(text, ',')
		text = strconv.AppendInt(text, r.Hi, 10)
		text = append(text, ')')
	}
	return string(append(text, '}'))
}

// Parse reads the text of an int8multirange in the form in which Postgres writes it: every range
// with an inclusive lower and an exclusive upper bound, none infinite.
func Parse(text string) (*Set, error) {
	inner, ok := strings.CutPrefix(text, "{")
	if ok {
		inner, ok = strings.CutSuffix(inner, "}")
	}
	if !ok {
		return nil, fmt.Errorf("parse multirange %.40q: it is not in braces", text)
	}
	s := &Set{}
	for inner != "" {
		one, rest, found := strings.Cut(inner, ")")
		if !found {
			return nil, fmt.Errorf("parse multirange %.40q: a range does not end with %q", text, ")")
		}
		r, err := parseRange(one)
		if err != nil {
			return nil, fmt.Errorf("parse multirange %.40q: %w", text, err)
		}
		s.Add(r)
		inner = strings.TrimPrefix(rest, ",")
	}
	return s, nil
}

// parseRange reads a range without its closing bracket: [1,5
func parseRange(text string) (Range, error) {
	bounds, ok := strings.CutPrefix(text, "[")
	if !ok {
		return Range{}, fmt.Errorf("range %.40q does not begin with %q", text, "[")
	}
	lower, upper, _ := strings.Cut(bounds, ",")
	lo, err := strconv.ParseInt(lower, 10, 64)
	if err != nil {
		return Range{}, fmt.Errorf("lower bound of %.40q: %w", text, err)
	}
	hi, err := strconv.ParseInt(upper, 10, 64)
	if err != nil {
		return Range{}, fmt.Errorf("upper bound of %.40q: %w", text, err)
	}
	return Range{lo, hi}, nil
}
