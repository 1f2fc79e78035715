package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"waybill.example/chassis/terminal"
	"waybill.example/drills/audit"
	"waybill.example/drills/drill"
)

// row is a line of the verdict.
type row struct{ name, value string }

// rows are the verdict of one drill.
func rows(o *drill.Outcome) []row {
	list := []row{
		{"accepted", fmt.Sprintf("%d of %d orders, at %g/s", o.Totals.Accepted, o.Totals.Sent, o.Rate)},
		{"confirmed", fmt.Sprint(o.Confirmed)},
		{"cancelled", fmt.Sprint(o.Cancelled)},
		{"still pending", fmt.Sprint(o.Pending)},
		{"lost", fmt.Sprint(o.Lost())},
		{"effects twice", fmt.Sprint(o.Doubled())},
		{"time to recover", recovery(o)},
		{"longest POST", short(o.LongestPost())},
		{"failed POSTs", failures(o)},
	}
	if broken := broken(o.Faults); broken != "" {
		list = slices.Insert(list, 0, row{"broken", broken})
	}
	for _, m := range o.Measured {
		list = append(list, row{"measured", m})
	}
	return list
}

func recovery(o *drill.Outcome) string {
	if o.Recovery < 0 {
		return "not recovered"
	}
	return short(o.Recovery)
}

func failures(o *drill.Outcome) string {
	if o.Totals.Failed == 0 {
		return "0"
	}
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(o.Totals.Failures)) {
		why = append(why, fmt.Sprintf("%d %s", o.Totals.Failures[reason], reason))
	}
	text := fmt.Sprintf("%d (%s)", o.Totals.Failed, strings.Join(why, ", "))
	if o.Totals.Retried > 0 {
		text += fmt.Sprintf("; %d of them accepted when sent again with their key", o.Totals.Retried)
	}
	if o.Totals.Refused > 0 {
		text += fmt.Sprintf("; the slowest 503 took %s", short(o.Totals.LongestRefusal))
	}
	return text
}

// broken sums the faults up by their label.
func broken(faults []drill.Fault) string {
	type sum struct {
		times int
		total time.Duration
	}
	sums := map[string]sum{}
	var labels []string
	for _, f := range faults {
		s, seen := sums[f.Label]
		if !seen {
			labels = append(labels, f.Label)
		}
		sums[f.Label] = sum{s.times + 1, s.total + f.To.Sub(f.From)}
	}
	for i, label := range labels {
		if s := sums[label]; s.times > 1 {
			labels[i] = fmt.Sprintf("%s %d times, %s in all", label, s.times, short(s.total))
		} else {
			labels[i] = fmt.Sprintf("%s for %s", label, short(s.total))
		}
	}
	return strings.Join(labels, "; ")
}

// short writes a duration as people say it.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// Verdict writes what one drill has shown.
func Verdict(w io.Writer, o *drill.Outcome) {
	fmt.Fprintf(w, "\n%s: %s\n\n", o.Drill.Name, o.Drill.Promise)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, r := range rows(o) {
		fmt.Fprintf(table, "  %s\t%s\n", r.name, r.value)
	}
	_ = table.Flush()
	fmt.Fprintln(w)
	if o.Passed() {
		var looked int64
		for _, c := range o.Audit.Checks {
			looked += c.Looked
		}
		fmt.Fprintf(w, "  PASSED   the audit compared %d facts in %d checks and found nothing\n", looked, len(o.Audit.Checks))
		return
	}
	for _, f := range o.Failures {
		fmt.Fprintf(w, "  FAILED   %s\n", f)
	}
	Findings(w, o.Audit, 5)
}

// Findings writes what an audit has found, at most so many of each check; 0 is all.
func Findings(w io.Writer, r audit.Report, most int) {
	for _, c := range r.Checks {
		for i, f := range c.Findings {
			if most > 0 && i == most {
				fmt.Fprintf(w, "  %s   and %d more\n", c.Check, len(c.Findings)-most)
				break
			}
			terminal.Fprintf(w, "  %s   %s: %s\n      %s\n", f.Check, f.Subject, f.Problem, f.Repair)
		}
	}
}

// Audit writes an audit's report.
func Audit(w io.Writer, r audit.Report) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CHECK\tLOOKED AT\tFOUND\tPROMISE")
	for _, c := range r.Checks {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", c.Check, c.Looked, len(c.Findings), c.Promise)
	}
	_ = table.Flush()
	if r.Open > 0 {
		fmt.Fprintf(w, "%d orders and messages are too young to be judged\n", r.Open)
	}
	fmt.Fprintln(w)
	Findings(w, r, 20)
}

// Summary writes one line a drill.
func Summary(w io.Writer, outcomes []*drill.Outcome) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nDRILL\tACCEPTED\tCONFIRMED\tCANCELLED\tLOST\tTWICE\tRECOVERED IN\tLONGEST POST\tFAILED POSTS\tVERDICT")
	for _, o := range outcomes {
		verdict := "passed"
		if !o.Passed() {
			verdict = "FAILED"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%s\n", o.Drill.Name, o.Totals.Accepted, o.Confirmed, o.Cancelled,
			o.Lost(), o.Doubled(), recovery(o), short(o.LongestPost()), o.Totals.Failed, verdict)
	}
	_ = table.Flush()
}
