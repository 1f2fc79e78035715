package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"waybill.example/chassis/terminal"
)

// printJSON writes value as indented JSON.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printf writes for people; what others wrote is made harmless for a terminal.
func printf(out io.Writer, format string, args ...any) { terminal.Fprintf(out, format, args...) }

// table writes rows in columns, the first of them the head; or the words for none.
func table(out io.Writer, rows [][]string, none string) {
	if len(rows) == 1 {
		printf(out, "%s\n", none)
		return
	}
	var aligned bytes.Buffer
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			cells[i] = terminal.Clean(text)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // into memory
	}
	_ = w.Flush()
	for line := range strings.Lines(aligned.String()) {
		printf(out, "%s\n", strings.TrimRight(line, " \n"))
	}
}
