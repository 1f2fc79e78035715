package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"waybill.example/drills/drill"
)

// Live shows a drill while it runs: on a terminal in a few lines that are drawn again, elsewhere a
// line now and then. It may be shown progress from any goroutine.
type Live struct {
	to       io.Writer
	terminal bool

	mu       sync.Mutex
	drawn    int // lines on the screen that are ours
	last     time.Time
	phase    drill.Phase
	previous drill.Sample
	rate     float64
}

// NewLive makes a view of one drill.
func NewLive(to io.Writer, terminal bool) *Live { return &Live{to: to, terminal: terminal} }

// Between these a terminal cuts lines at its edge. On one of 80 columns they would take two rows
// each, of which the next drawing would clear one.
const noWrap, wrap = "\x1b[?7l", "\x1b[?7h"

// plainEvery is how often a view that is no terminal writes a line.
const plainEvery = 5 * time.Second

// Show draws the progress.
func (l *Live) Show(p drill.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if dt := p.Sample.At.Sub(l.previous.At).Seconds(); dt > 0 {
		if !l.previous.At.IsZero() {
			l.rate = float64(p.Sample.Totals.Accepted-l.previous.Totals.Accepted) / dt
		}
		l.previous = p.Sample
	}
	if !l.terminal {
		l.plain(p)
		return
	}
	l.clear()
	lines := l.lines(p)
	fmt.Fprint(l.to, noWrap, strings.Join(lines, "\n"), "\n", wrap)
	l.drawn = len(lines)
}

// Clear takes the view off the screen.
func (l *Live) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *Live) clear() {
	if l.drawn > 0 {
		fmt.Fprintf(l.to, "\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}

func (l *Live) plain(p drill.Progress) {
	if p.Phase == l.phase && time.Since(l.last) < plainEvery {
		return
	}
	l.phase, l.last = p.Phase, time.Now()
	fmt.Fprintf(l.to, "  %-20s %s\n", p.Phase, l.numbers(p.Sample))
}

func (l *Live) lines(p drill.Progress) []string {
	lines := []string{
		fmt.Sprintf("  %-20s %s %s", p.Phase, bar(time.Since(p.Since), p.Length), time.Since(p.Since).Round(100*time.Millisecond)),
		"  " + l.numbers(p.Sample),
	}
	const most = 4
	for _, f := range p.Faults[max(0, len(p.Faults)-most):] {
		mark, until := "✗", "now"
		if !f.To.IsZero() {
			mark, until = "✓", f.To.Format(time.TimeOnly)
		}
		lines = append(lines, fmt.Sprintf("  %s %s–%s  %s", mark, f.From.Format(time.TimeOnly), until, f.Label))
	}
	return lines
}

func (l *Live) numbers(s drill.Sample) string {
	if s.At.IsZero() {
		return ""
	}
	return fmt.Sprintf("%5.0f orders/s   %6d accepted   %4d failed   %6s pending   %6s outbox rows wait",
		l.rate, s.Totals.Accepted, s.Totals.Failed, known(s.Pending), known(s.Outbox))
}

func known(n int64) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}

// bar draws how much of a phase is over.
func bar(gone, length time.Duration) string {
	const width = 30
	full := 0
	if length > 0 {
		full = int(min(1, gone.Seconds()/length.Seconds()) * width)
	}
	return "[" + strings.Repeat("█", full) + strings.Repeat("·", width-full) + "]"
}
