package masking

import (
	"bytes"
	"fmt"
	"strings"
)

// PlaceError is the error of a placeholder that stands for nothing that could be put back there.
type PlaceError struct {
	Pointer string // where, as a JSON pointer (RFC 6901); "" is the whole
	Why     string
}

func (e *PlaceError) Error() string {
	return fmt.Sprintf("%s at %q: %s", Placeholder, e.Pointer, e.Why)
}

// Contains reports whether a text has the placeholder somewhere, however it is escaped. What has it
// must not be stored.
func Contains(text []byte) bool {
	root, err := parse(text)
	if err != nil {
		return bytes.Contains(text, []byte(Placeholder))
	}
	return root.mentions(text)
}

func (n *node) mentions(text []byte) bool {
	if s, is := n.str(text); is && strings.Contains(s, Placeholder) {
		return true
	}
	for i, v := range n.values {
		if n.kind == '{' && strings.Contains(n.names[i], Placeholder) || v.mentions(text) {
			return true
		}
	}
	return false
}

// Refuse returns a [*PlaceError] for a text that has the placeholder somewhere, for what was never
// shown and so cannot be put back.
func Refuse(text []byte) error {
	if !Contains(text) {
		return nil
	}
	_, err := View{}.Restore(text)
	return err
}

// Restore returns an edit of what a view has shown, as it was meant: with each placeholder replaced
// by the value that it hides, which is at the same place. An edit may be a part, such as a merge
// patch. The error is a [*PlaceError] where a placeholder is somewhere else, or in an array that
// has not as many elements as it had: which of them was meant cannot be known.
func (v View) Restore(edited []byte) ([]byte, error) {
	root, err := parse(edited)
	if err != nil {
		if bytes.Contains(edited, []byte(Placeholder)) {
			return nil, &PlaceError{"", err.Error()}
		}
		return edited, nil // whose business it is says so
	}
	r := restoring{edited: edited, whole: v.whole}
	before := v.tree
	if v.tree == nil && v.hides {
		before = &node{end: len(v.whole), hidden: true}
	}
	if before != nil && r.whole == nil {
		r.whole = v.shown
	}
	if err := r.value(root, before, ""); err != nil {
		return nil, err
	}
	return append(r.out, edited[r.done:]...), nil
}

// restoring copies an edit, and puts back what was hidden.
type restoring struct {
	edited, whole []byte
	out           []byte
	done          int // of edited
}

const nothingHidden = "it hides nothing there; say what is to be there, or leave it out"

// value restores a value; before is what was at its place, nil: nothing, or it cannot be known.
func (r *restoring) value(n, before *node, pointer string) error {
	if s, is := n.str(r.edited); is && strings.Contains(s, Placeholder) {
		return r.placeholder(s, n, before, pointer)
	}
	var lengthChanged bool
	if before != nil && (before.hidden || before.kind != n.kind) {
		before = nil
	}
	if n.kind == '[' && before != nil && len(before.values) != len(n.values) {
		before, lengthChanged = nil, true
	}
	seen := map[string]int{}
	for i, v := range n.values {
		at, was := fmt.Sprint(i), before.item(i)
		if n.kind == '{' {
			at = n.names[i]
			if strings.Contains(at, Placeholder) {
				return &PlaceError{pointer + "/" + escaped(at), "it is no name"}
			}
			was = before.member(at, seen[at])
			seen[at]++
		}
		err := r.value(v, was, pointer+"/"+escaped(at))
		if place, is := err.(*PlaceError); is && lengthChanged && place.Why == nothingHidden { //nolint:errorlint // of this package
			place.Why = fmt.Sprintf("the array %q has another length than it had, so that it cannot be known which element is meant; say all values of it", pointer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// placeholder restores a string that has the placeholder in it.
func (r *restoring) placeholder(s string, n, before *node, pointer string) error {
	switch {
	case before != nil && before.hidden && s == Placeholder:
		r.out = append(append(r.out, r.edited[r.done:n.start]...), r.whole[before.start:before.end]...)
		r.done = n.end
		return nil
	case before != nil && !before.hidden && before.kind == '"':
		if was, is := before.str(r.whole); is && was == s {
			return nil // it was there, and was shown
		}
	}
	return &PlaceError{pointer, nothingHidden}
}

func (n *node) item(i int) *node {
	if n == nil || n.kind != '[' {
		return nil
	}
	return n.values[i]
}

// member is the nth value of a name.
func (n *node) member(name string, nth int) *node {
	if n == nil || n.kind != '{' {
		return nil
	}
	for i, other := range n.names {
		if other != name {
			continue
		}
		if nth == 0 {
			return n.values[i]
		}
		nth--
	}
	return nil
}

// pointerEscapes are those of a JSON pointer.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escaped(name string) string { return pointerEscapes.Replace(name) }

// Covers reports whether a view hides whatever another one hides that is at the same place in it:
// that what was restored from the other is hidden in this one.
func (v View) Covers(other View) bool {
	if !other.hides || v.hides && v.tree == nil {
		return true
	}
	if other.tree == nil || v.tree == nil {
		return false
	}
	return v.tree.covers(other.tree)
}

func (n *node) covers(other *node) bool {
	if n.hidden {
		return true
	}
	if other.hidden {
		return false
	}
	seen := map[string]int{}
	for i, was := range other.values {
		var is *node
		if other.kind == '{' {
			name := other.names[i]
			is = n.member(name, seen[name])
			seen[name]++
		} else if n.kind == '[' && i < len(n.values) {
			is = n.values[i]
		}
		if is != nil && !is.covers(was) {
			return false
		}
	}
	return true
}
