package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"waybill.example/sdk/saga/runner/inspect"
)

// printTimeline shows what a saga received, the state that it went to, and what it sent.
func printTimeline(out io.Writer, title string, lines []inspect.Line) {
	_, _ = fmt.Fprintf(out, "\n%s\n", title)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "  AFTER\tRECEIVED\tSTATE\tSENT")
	for _, l := range lines {
		received := l.CauseType
		if l.Note != "" {
			received += " (" + l.Note + ")"
		}
		sent := make([]string, len(l.Commands))
		for i, c := range l.Commands {
			sent[i] = c.Type
		}
		_, _ = fmt.Fprintf(table, "  %.0f ms\t%s\t%s\t%s\n", float64(l.At.Sub(lines[0].At).Microseconds())/1000, received, l.To, strings.Join(sent, ", "))
	}
	_ = table.Flush()
}
