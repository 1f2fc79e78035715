package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"waybill.example/chassis/terminal"
)

// printTimeline shows a saga's transitions, one per row. What services and operators wrote is shown
// as text, and steers no terminal.
func printTimeline(out io.Writer, s saga) {
	terminal.Fprintf(out, "  saga %s v%d: %s\n", s.Definition, s.Version, s.State)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "    AFTER\tRECEIVED\tSTATE\tSENT")
	for _, l := range s.Timeline {
		received := l.CauseType
		if l.Note != "" {
			received += " (" + l.Note + ")"
		}
		terminal.Fprintf(table, "    %s\t%s\t%s\t%s\n", milliseconds(l.At.Sub(s.StartedAt)), received, l.To, sent(l.Commands))
	}
	_ = table.Flush() // what it is written to reports for itself
}

func sent(commands []command) string {
	if len(commands) == 0 {
		return "-"
	}
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Type
		if c.Attempt > 1 {
			names[i] += fmt.Sprintf(" (attempt %d)", c.Attempt)
		}
	}
	return strings.Join(names, ", ")
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
