package masking

import (
	"strings"

	"github.com/theory/jsonpath/spec"
)

// hide marks what the paths of a rule select.
func (r *rule) hide(root *node) {
	for _, path := range r.paths {
		w := walk{seen: map[place]bool{}}
		w.to(root, path.Segments())
	}
}

// walk follows a path. It goes over each value once for each segment, however the path descends.
type walk struct{ seen map[place]bool }

type place struct {
	at   *node
	left int // segments
}

func (w walk) to(n *node, path []*spec.Segment) {
	if len(path) == 0 {
		n.hidden = true
		return
	}
	here := place{n, len(path)}
	if w.seen[here] {
		return
	}
	w.seen[here] = true
	for _, selector := range path[0].Selectors() {
		for _, i := range n.selected(selector) {
			w.to(n.values[i], path[1:])
		}
	}
	if path[0].IsDescendant() {
		for _, v := range n.values {
			w.to(v, path)
		}
	}
}

// selected are the indexes of the values that a selector selects.
func (n *node) selected(selector spec.Selector) (found []int) {
	switch s := selector.(type) {
	case spec.Name:
		for i, name := range n.names {
			if strings.EqualFold(name, string(s)) {
				found = append(found, i)
			}
		}
		return found
	case spec.Index:
		i := int(s)
		if i < 0 {
			i += len(n.values)
		}
		if n.kind == '[' && i >= 0 && i < len(n.values) {
			found = append(found, i)
		}
		return found
	case spec.SliceSelector:
		if n.kind == '[' {
			found = sliced(s, len(n.values))
		}
		return found
	}
	for i := range n.values { // a wildcard
		found = append(found, i)
	}
	return found
}

func sliced(s spec.SliceSelector, length int) (found []int) {
	lower, upper := s.Bounds(length)
	switch step := s.Step(); {
	case step > 0:
		for i := lower; i < upper; i += step {
			found = append(found, i)
		}
	case step < 0:
		for i := upper; i > lower; i += step {
			found = append(found, i)
		}
	}
	return found
}
