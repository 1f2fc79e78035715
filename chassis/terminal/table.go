package terminal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes rows in columns for people, the first row being the head; where there is no other,
// it writes the words for none instead. What others wrote is made harmless for a terminal.
func Table(out io.Writer, rows [][]string, none string) {
	if len(rows) == 1 {
		Fprintf(out, "%s\n", none)
		return
	}
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			cells[i] = Clean(text)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // into memory
	}
	_ = w.Flush()
	for line := range strings.Lines(aligned.String()) {
		Fprintf(out, "%s\n", strings.TrimRight(line, " \n"))
	}
}
