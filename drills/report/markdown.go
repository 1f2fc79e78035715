package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report as tables, to be pasted into a page of documentation: a heading and
// what was measured for each part, a row for each figure, and when and where it was.
func (r *Report) Markdown(w io.Writer, machine string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, %s.\n", r.began.UTC().Format("2006-01-02 from 15:04 UTC"), machine)
	for _, p := range r.parts {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| figure | value | target |\n| --- | --- | --- |\n", cell(p.Title), cell(p.Text))
		for _, f := range p.Figures {
			fmt.Fprintf(&b, "| `%s` | %s %s | %s |\n", f.Name, f.Number(), cell(f.Unit), f.outcome())
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report as Markdown: %w", err)
	}
	return nil
}

// outcome is the target and whether it was met; nothing where there is none.
func (f Figure) outcome() string {
	switch {
	case f.Target == nil:
		return ""
	case f.Met():
		return f.Promise() + " met"
	}
	return f.Promise() + " **missed**"
}

// cell is text that ends no cell of a table and begins no markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "`", "\\`", "\n", " ").Replace(s)
}
