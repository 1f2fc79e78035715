// Package masking hides single fields of payloads, and of what sagas keep, from people who may read
// the rest: by rules that name a topic or a saga, and JSON paths (RFC 9535).
//
// An API hands out a [View] and no bytes. A view is made by [Rules.Message] and [Rules.Saga] alone,
// from the role of who asks; what comes back in an edit goes through [View.Restore], which puts the
// values that were hidden back where they were.
//
// Where a rule applies and what it is about cannot be read as JSON, nothing of it is shown. Names
// are found in whatever case they are written, as Go's decoders read them, and as often as they are
// there.
//
//	masking.go  what is shown
//	rules.go    the file of rules
//	tree.go     a JSON text and where its values are
//	match.go    which of them a path selects
//	restore.go  edits
//	audit.go    what audit logs and batches have of them
package masking

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"waybill.example/chassis/admin"
)

// Placeholder is shown in place of a value that is hidden. It is a JSON string.
const Placeholder = "***masked***"

var quoted = []byte(`"` + Placeholder + `"`)

// View is a payload, or the data of a saga, as one role may see it. The zero value is empty. It is
// encoded as the JSON that it is, and as a string where it is not JSON.
type View struct {
	shown []byte
	why   string // why all of it is hidden
	tree  *node  // what it was made of, with what is hidden; nil: nothing is, or all
	whole []byte // what was there, where something is hidden
	hides bool
}

// Message is a payload as a role may see it. kind is its type; a message without one may be any.
func (r *Rules) Message(role admin.Role, topic, kind string, payload []byte) View {
	return r.view(role, payload, func(one *rule) bool { return one.ofMessage(topic, kind) })
}

// Saga is the data of a saga as a role may see it.
func (r *Rules) Saga(role admin.Role, definition string, data []byte) View {
	return r.view(role, data, func(one *rule) bool { return one.ofSaga(definition) })
}

// HidesMessage reports whether something may be hidden from a role in messages like these.
func (r *Rules) HidesMessage(role admin.Role, topic, kind string) bool {
	return len(r.apply(role, func(one *rule) bool { return one.ofMessage(topic, kind) })) > 0
}

// HidesSaga reports whether something may be hidden from a role in sagas of a definition.
func (r *Rules) HidesSaga(role admin.Role, definition string) bool {
	return len(r.apply(role, func(one *rule) bool { return one.ofSaga(definition) })) > 0
}

// Hides reports whether there is a rule at all that hides something from a role.
func (r *Rules) Hides(role admin.Role) bool {
	return len(r.apply(role, func(*rule) bool { return true })) > 0
}

// apply returns the rules about something that hide it from a role.
func (r *Rules) apply(role admin.Role, about func(*rule) bool) []*rule {
	if r == nil {
		return nil
	}
	var found []*rule
	for i := range r.rules {
		if one := &r.rules[i]; role < one.clear && about(one) {
			found = append(found, one)
		}
	}
	return found
}

func (r *Rules) view(role admin.Role, text []byte, about func(*rule) bool) View {
	rules := r.apply(role, about)
	if len(rules) == 0 || len(text) == 0 {
		return View{shown: text}
	}
	root, err := parse(text)
	if err != nil {
		return View{shown: quoted, whole: text, hides: true, why: "all of it is hidden from the role " + role.String() + ": " + err.Error()}
	}
	for _, one := range rules {
		one.hide(root)
	}
	v := View{shown: text, tree: root}
	if v.hides = root.hides(); v.hides {
		v.shown, v.whole = root.masked(text), text
	}
	return v
}

// Hidden is a view that shows nothing of what is there, and says why.
func Hidden(why string) View { return View{shown: quoted, hides: true, why: why} }

// Bytes are what is shown.
func (v View) Bytes() []byte { return v.shown }

// IsZero reports whether there is nothing to show.
func (v View) IsZero() bool { return len(v.shown) == 0 }

// Hides reports whether something of it is hidden.
func (v View) Hides() bool { return v.hides }

// IsPart reports whether some of it is hidden, and the rest is shown.
func (v View) IsPart() bool { return v.hides && v.tree != nil }

// Says is what is hidden, in words; empty: nothing is.
func (v View) Says() string {
	if v.hides && v.why == "" {
		return "fields of it are hidden, and shown as " + Placeholder
	}
	return v.why
}

// IsJSON reports whether what is shown is JSON.
func (v View) IsJSON() bool { return json.Valid(v.shown) && utf8.Valid(v.shown) }

// MarshalJSON implements [json.Marshaler].
func (v View) MarshalJSON() ([]byte, error) {
	switch {
	case len(v.shown) == 0:
		return []byte("null"), nil
	case json.Valid(v.shown):
		return v.shown, nil
	}
	return json.Marshal(string(v.shown))
}

// UnmarshalJSON implements [json.Unmarshaler], for those who are shown a view.
func (v *View) UnmarshalJSON(text []byte) error {
	*v = View{}
	if string(text) != "null" {
		v.shown = bytes.Clone(text)
	}
	return nil
}

// Bytes is a view that is encoded in base64, for what need not be text.
type Bytes struct{ View }

// MarshalJSON implements [json.Marshaler].
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(b.shown) }

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Bytes) UnmarshalJSON(text []byte) error {
	b.View = View{}
	return json.Unmarshal(text, &b.shown)
}

// Schema implements [huma.SchemaProvider]: any JSON.
func (View) Schema(huma.Registry) *huma.Schema { return &huma.Schema{} }

// Schema implements [huma.SchemaProvider].
func (Bytes) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, ContentEncoding: "base64"}
}

// shortest is the length of a value that is looked for in a text: shorter ones are in any.
const shortest = 3

// Scrub hides the values that are hidden in the view in a text that may quote them, such as an
// error of who has read it. Values of less than three bytes stay.
func (v View) Scrub(text string) string {
	if !v.hides || text == "" {
		return text
	}
	if v.tree == nil {
		return Placeholder // any of it may be quoted
	}
	secrets := v.tree.secrets(v.whole, false, nil)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, Placeholder)
	}
	return text
}
