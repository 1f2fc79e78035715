package httpserver

import (
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

//go:embed docs.html
var docsSource string

var docsTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{
	"type": typeName, "rules": rules, "ref": refName,
}).Parse(docsSource))

// registerDocs serves the API's document as a page for people at /docs. It is made once, when it is
// first asked for: by then every operation is registered.
func registerDocs(router chi.Router, api huma.API) {
	page := sync.OnceValues(func() (string, error) { return renderDocs(api.OpenAPI()) })
	router.Get("/docs", func(w http.ResponseWriter, r *http.Request) {
		html, err := page()
		if err != nil {
			panic(err) // a template that does not fit its data: a test renders every document
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", pagePolicy)
		_, _ = w.Write([]byte(html)) // only a client that hung up fails here
	})
}

// docsOperation is an operation with its path, as the page shows it.
type docsOperation struct {
	Path string
	*huma.Operation
}

// Answers are the responses by status.
func (o docsOperation) Answers() []docsAnswer {
	answers := make([]docsAnswer, 0, len(o.Responses))
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		answers = append(answers, docsAnswer{status, o.Responses[status]})
	}
	return answers
}

// Secured says whether the operation needs a token.
func (o docsOperation) Secured() bool { return len(o.Security) > 0 }

type docsAnswer struct {
	Status string
	*huma.Response
}

type docsField struct {
	Name     string
	Required bool
	*huma.Schema
}

type docsSchema struct {
	Name   string
	Fields []docsField
}

func renderDocs(document *huma.OpenAPI) (string, error) {
	data := struct {
		Info       *huma.Info
		Operations []docsOperation
		Schemas    []docsSchema
	}{Info: document.Info}
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		item := document.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op != nil {
				data.Operations = append(data.Operations, docsOperation{path, op})
			}
		}
	}
	schemas := document.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		shown := docsSchema{Name: name}
		for _, field := range slices.Sorted(maps.Keys(schemas[name].Properties)) {
			shown.Fields = append(shown.Fields, docsField{field, slices.Contains(schemas[name].Required, field), schemas[name].Properties[field]})
		}
		data.Schemas = append(data.Schemas, shown)
	}
	var b strings.Builder
	if err := docsTemplate.Execute(&b, data); err != nil {
		return "", fmt.Errorf("render the page of the API: %w", err)
	}
	return b.String(), nil
}

// refName is the name of the schema that a schema refers to, "" if it is one itself.
func refName(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	if s.Type == huma.TypeArray && s.Items != nil {
		return refName(s.Items)
	}
	return strings.TrimPrefix(s.Ref, "#/components/schemas/")
}

// typeName is a schema in a word or two.
func typeName(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return refName(s)
	case s.Type == huma.TypeArray:
		return "list of " + typeName(s.Items)
	case len(s.OneOf) > 0:
		names := make([]string, len(s.OneOf))
		for i, one := range s.OneOf {
			names[i] = typeName(one)
		}
		return strings.Join(names, " or ")
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}

// rules are the bounds of a schema.
func rules(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	var all []string
	add := func(format string, v any) { all = append(all, fmt.Sprintf(format, v)) }
	if s.Minimum != nil {
		add("≥ %v", *s.Minimum)
	}
	if s.Maximum != nil {
		add("≤ %.0f", *s.Maximum)
	}
	if s.MinLength != nil {
		add("%d characters at least", *s.MinLength)
	}
	if s.MaxLength != nil {
		add("%d characters at most", *s.MaxLength)
	}
	if s.MaxItems != nil {
		add("%d at most", *s.MaxItems)
	}
	if s.Default != nil {
		add("default %v", s.Default)
	}
	for _, one := range s.Enum {
		add("%v", one)
	}
	return strings.Join(all, ", ")
}
