package masking

import (
	"slices"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"

	"waybill.example/chassis/admin"
)

// What people have typed, or a reason has quoted, is hidden as a whole where anything is hidden:
// which rule it would be about is not always known.
var (
	ofBatches = fixed("$.intervention.patch", "$.intervention.data")
	ofLetters = fixed("$.reason")
)

func fixed(paths ...string) *Rules {
	one := rule{saga: "*", clear: admin.Admin + 1}
	for _, path := range paths {
		one.paths = append(one.paths, jsonpath.MustParse(path).Query())
	}
	return &Rules{rules: []rule{one}}
}

// Batch is what is to be done to many sagas, as a role may see it.
func (r *Rules) Batch(role admin.Role, parameters []byte) View {
	if !r.Hides(role) {
		return View{shown: parameters}
	}
	return ofBatches.Saga(role, "", parameters)
}

// Audited is what an entry of an audit log says that something was or is, as a role may see it: of
// sagas the data, of batches what was typed, of dead letters the reason.
func (r *Rules) Audited(role admin.Role, action, object string, text []byte) View {
	if !r.Hides(role) {
		return View{shown: text}
	}
	switch kind, _, _ := strings.Cut(action, "."); kind {
	case "saga":
		definition, _, _ := strings.Cut(strings.TrimPrefix(object, "saga/"), "/")
		return r.audited.Saga(role, definition, text)
	case "job":
		return ofBatches.Saga(role, "", text)
	case "deadletter":
		return ofLetters.Saga(role, "", text)
	}
	return View{shown: text}
}

// below are the rules of sagas, for what has their data below a path.
func (r *Rules) below(path string) *Rules {
	prefix, moved := jsonpath.MustParse(path).Query().Segments(), &Rules{}
	for _, one := range r.rules {
		if one.saga == "" {
			continue
		}
		paths := one.paths
		one.paths = nil
		for _, p := range paths {
			one.paths = append(one.paths, spec.Query(true, append(slices.Clip(prefix), p.Segments()...)...))
		}
		moved.rules = append(moved.rules, one)
	}
	return moved
}
