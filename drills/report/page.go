package report

import (
	_ "embed"
	"html/template"
)

// page is what every report shares: the frame and the style sheet. A report defines its title and
// its body.
//
//go:embed page.html
var page string

// pageTemplate returns the page of a report.
func pageTemplate(body string, funcs template.FuncMap) *template.Template {
	return template.Must(template.Must(template.New("page").Funcs(funcs).Parse(page)).Parse(body)).Lookup("page")
}
