package problem

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

//go:generate go run ./generate ../../docs/problems

// Markdown is the page of a type, as it is in docs/problems.
func (t *Type) Markdown() string {
	return fmt.Sprintf("# %s\n\n`%s` · %d %s\n\n%s\n\n**What to do.** %s\n", t.Title, t.URI(), t.Status, http.StatusText(t.Status), t.Means, t.Remedy)
}

// Index is the list of all types in Markdown, each a link to its page.
func Index() string {
	var b strings.Builder
	b.WriteString("# Problems\n\nThe `type` of each error that a service answers with ([conventions](../api.md#errors)). Every service serves these pages at\n" +
		"`/problems/`. They are generated from the table in `chassis/problem`.\n\n| type | status | |\n| --- | --- | --- |\n")
	for t := range Types() {
		fmt.Fprintf(&b, "| [`%s`](%s.md) | %d | %s |\n", t.Slug, t.Slug, t.Status, t.Title)
	}
	return b.String()
}

// style is all that the pages load, and Policy allows.
const style = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}code{font-size:.9em}td,th{text-align:left;padding:.2rem 1rem .2rem 0}"

// HTML is the page of a type for a browser. It has no script, and loads nothing.
func (t *Type) HTML() string {
	return page(t.Title, fmt.Sprintf("<h1>%s</h1><p><code>%s</code> · %d %s</p><p>%s</p><p><b>What to do.</b> %s</p><p><a href=\"%s\">All problems</a></p>",
		html.EscapeString(t.Title), t.URI(), t.Status, http.StatusText(t.Status), code(t.Means), code(t.Remedy), Path))
}

// IndexHTML is the list of all types for a browser.
func IndexHTML() string {
	var b strings.Builder
	b.WriteString("<h1>Problems</h1><table><tr><th>type<th>status<th>")
	for t := range Types() {
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\"><code>%s</code></a><td>%d<td>%s", t.URI(), t.Slug, t.Status, html.EscapeString(t.Title))
	}
	b.WriteString("</table>")
	return page("Problems", b.String())
}

func page(title, body string) string {
	return "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + html.EscapeString(title) + "</title><style>" + style + "</style>" + body + "</html>\n"
}

// code shows what is in backticks as code.
func code(text string) string {
	parts := strings.Split(html.EscapeString(text), "`")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "<code>" + parts[i] + "</code>"
	}
	return strings.Join(parts, "")
}
