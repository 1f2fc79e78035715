package cli

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/terminal"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// printer writes for people. Times are UTC, as everywhere in the system.
type printer struct {
	bytes.Buffer
}

const timeLayout = "15:04:05.000"

func (p *printer) line(format string, args ...any) { terminal.Fprintf(p, format+"\n", args...) }

// table writes rows in columns, the first of them the head.
func (p *printer) table(rows ...[]string) { terminal.Table(p, rows, "") }

func (p *printer) list(sagas []httpapi.SagaLine, next string) {
	if len(sagas) == 0 && next != "" {
		p.line("None yet; not all were looked at.\n\nMore: --cursor %s", next)
		return
	}
	if len(sagas) == 0 {
		p.line("No sagas.")
		return
	}
	rows := [][]string{{"ID", "SAGA", "STATE", "WAITS FOR", "UNTIL", "BEGAN (UTC)", "TOOK", "REASON"}}
	for _, s := range sagas {
		waits, until, took := s.Step, "", ""
		if s.Attempt > 1 {
			waits = fmt.Sprintf("%s (attempt %d)", s.Step, s.Attempt)
		}
		if s.Deadline != nil {
			until = s.Deadline.UTC().Format("15:04:05")
		}
		if s.EndedAt != nil {
			took = short(s.EndedAt.Sub(s.StartedAt))
		}
		reason := s.Reason
		if s.Trouble != "" {
			reason = s.Trouble
		}
		rows = append(rows, []string{
			s.ID, fmt.Sprintf("%s v%d", s.Definition, s.Version), s.State, waits, until,
			s.StartedAt.UTC().Format("2006-01-02 15:04:05"), took, reason,
		})
	}
	p.table(rows...)
	if next != "" {
		p.line("\nMore: --cursor %s", next)
	}
}

func (p *printer) versions(list []inspect.VersionUse) {
	rows := [][]string{{"SAGA", "OPEN", "ENDED", "KNOWN HERE", "CAN BE REMOVED", "SUSPENDED BY"}}
	for _, v := range list {
		rows = append(rows, []string{
			fmt.Sprintf("%s v%d", v.Definition, v.Version), strconv.FormatInt(v.Open, 10), atLeast(v.Ended, v.More),
			no(v.Registered), no(v.Removable), v.Suspended,
		})
	}
	p.table(rows...)
}

func no(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (p *printer) detail(d httpapi.Detail) {
	p.line("Saga %s of %s version %d: %s (revision %d)", d.ID, d.Definition, d.Version, d.State, d.Revision)
	if d.Reason != "" {
		p.line("Because: %s", d.Reason)
	}
	if d.EndedAt != nil {
		p.line("Took:    %s", short(d.EndedAt.Sub(d.StartedAt)))
	}
	for _, w := range d.Waits {
		until := "without a deadline"
		if !w.Until.IsZero() {
			until = "until " + w.Until.UTC().Format("15:04:05")
		}
		p.line("Waits:   for %s, %s (attempt %d)", strings.Join(w.Replies, " or "), until, w.Attempt)
	}
	p.line("Data:    %s", d.Data.Bytes())
	p.line("")
	p.timeline(d.Timeline)
}

func (p *printer) timeline(lines []inspect.Line) {
	rows := [][]string{{"AT (UTC)", "AFTER", "WHAT", "STEP", "STATE", "BECAUSE OF", "SENT", "NOTE"}}
	for _, l := range lines {
		var sent []string
		for _, c := range l.Commands {
			sent = append(sent, c.Type)
		}
		cause := l.CauseType
		if l.Actor != "" {
			cause += " by " + l.Actor
		}
		rows = append(rows, []string{
			l.At.UTC().Format(timeLayout), "+" + short(time.Duration(l.AfterMS*float64(time.Millisecond))),
			strings.ReplaceAll(l.Kind, "_", " "), l.Step, l.To, cause, strings.Join(sent, ", "), l.Note,
		})
	}
	p.table(rows...)
}

func (p *printer) report(e explain.Report) {
	p.line("Saga %s: %s", e.ID, e.State)
	p.line("%s", e.Summary)
	p.section("In the way", e.Obstacles)
	p.section("Next", e.Next)
	p.section("You can", e.Advice)
	for _, s := range e.Sources {
		if s.Error != "" {
			p.line("\n%s did not answer: %s", s.Name, s.Error)
		}
	}
	p.line("")
	rows := [][]string{{"AT (UTC)", "AFTER", "WHERE", "WHAT"}}
	for _, m := range e.Timeline {
		rows = append(rows, []string{
			m.At.UTC().Format(timeLayout), "+" + short(time.Duration(m.AfterMS*float64(time.Millisecond))), m.Source, m.What,
		})
	}
	p.table(rows...)
	if e.Bill != nil {
		p.bill(*e.Bill)
	}
}

// bill says where the time went.
func (p *printer) bill(b explain.Bill) {
	p.line("\nWhere the time went, %s in all:", short(ms(b.TotalMS)))
	rows := [][]string{{"TOOK", "FOR", "OF"}}
	for _, leg := range b.Legs {
		rows = append(rows, []string{short(ms(leg.MS)), leg.Part, leg.Hop})
	}
	p.table(rows...)
	for _, note := range b.Notes {
		p.line("%s", note)
	}
}

func ms(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }

func (p *printer) section(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("\n%s:", title)
	for _, l := range lines {
		p.line("  %s", l)
	}
}

func (p *printer) outcome(o httpapi.Outcome) {
	p.line("%s.", sentence(o.Observed))
	if o.Recorded != nil {
		p.line("Recorded as number %d in the timeline of saga %s, by %s: %s", o.Recorded.Seq, o.Saga.ID, o.Recorded.Actor, o.Recorded.Note)
	}
}

// sentence begins with a capital letter.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (p *printer) preview(v httpapi.Preview) {
	if v.Because != "" {
		p.line("%s (revision %d).", sentence(v.Because), v.Revision)
		return
	}
	p.line("%s → %s: %s", v.From, v.To, v.Note)
	for _, c := range v.Sends {
		to := c.Topic
		if to == "" {
			to = "carried out here"
		}
		p.line("Sends:   %s → %s, key %s: %s", c.Type, to, c.Key, c.Payload.Bytes())
	}
	if len(v.Sends) == 0 {
		p.line("Sends:   nothing")
	}
	if v.Deadline != nil {
		p.line("Acts:    at %s if nothing comes", v.Deadline.UTC().Format("2006-01-02 15:04:05"))
	}
	p.line("\nThen, if this comes:")
	p.futures(v.Then, "  ")
	if v.Truncated {
		p.line("  … and more")
	}
	p.line("\nNothing was changed. Do it to what was seen with --revision %d.", v.Revision)
}

func (p *printer) futures(list []saga.Future, indent string) {
	for _, f := range list {
		p.line("%s%s", indent, f.String())
		p.futures(f.Then, indent+"  ")
	}
}

func (p *printer) deadlines(list []inspect.Deadline) {
	if len(list) == 0 {
		p.line("No deadlines.")
		return
	}
	rows := [][]string{{"DUE (UTC)", "SAGA", "STATE", "STEP", "ATTEMPTS"}}
	for _, d := range list {
		step := d.Step
		if d.Undo {
			step += " (undo)"
		}
		rows = append(rows, []string{
			d.DueAt.UTC().Format("2006-01-02 15:04:05"), d.Definition + "/" + d.Saga, d.State, step, strconv.Itoa(d.Attempts),
		})
	}
	p.table(rows...)
}

// short keeps what people read of a duration.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// atLeast is a count, of which there may be more.
func atLeast(n int64, more bool) string {
	if more {
		return fmt.Sprintf("> %d", n)
	}
	return strconv.FormatInt(n, 10)
}
