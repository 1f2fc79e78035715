package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/drills/audit"
	"waybill.example/drills/drill"
	"waybill.example/drills/load"
	"waybill.example/drills/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func outcome(failures ...string) *drill.Outcome {
	o := &drill.Outcome{
		Drill: drill.Drill{Name: "kafka-down", Promise: "nothing is lost & <all> ends"}, Rate: 100, Began: began,
		Totals:    load.Totals{Sent: 300, Accepted: 299, Failed: 1, Failures: map[string]int64{"connection refused": 1}, Latency: load.Latency{Max: 12 * time.Millisecond}},
		Confirmed: 290, Cancelled: 9, Recovery: 1500 * time.Millisecond, Measured: []string{"something"}, Failures: failures,
		Faults: []drill.Fault{{Label: "broker <killed>", From: began.Add(time.Second), To: began.Add(2 * time.Second)}},
		Audit:  audit.Report{Checks: []audit.Result{{Check: audit.Accepted, Promise: audit.Accepted.Promise(), Looked: 299}}},
	}
	for i := range 12 {
		pending := int64(i)
		if i == 5 {
			pending = -1 // Postgres did not answer
		}
		o.Samples = append(o.Samples, drill.Sample{At: began.Add(time.Duration(i) * 250 * time.Millisecond), Pending: pending, Outbox: int64(2 * i)})
	}
	for i := range 300 {
		due := began.Add(time.Duration(i) * 10 * time.Millisecond)
		o.Requests = append(o.Requests, load.Entry{N: int64(i), Due: due, Sent: due, Done: due.Add(2 * time.Millisecond), Status: 202})
	}
	if len(failures) > 0 {
		o.Audit.Checks[0].Findings = []audit.Finding{{Check: audit.Accepted, Subject: "order 7", Problem: "lost", Repair: "curl <x>"}}
	}
	return o
}

func render(t *testing.T, outcomes ...*drill.Outcome) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, report.HTML(&b, outcomes))
	return b.String()
}

func TestTheHTMLReportNeedsNothingElse(t *testing.T) {
	t.Parallel()
	html := render(t, outcome(), outcome("lost one"))
	require.NotRegexp(t, `https?://|<script|<link|@import|url\(`, html)
	require.Contains(t, html, "1 of 2 passed")
	require.Contains(t, html, "prefers-color-scheme: dark")
	require.Contains(t, html, "curl &lt;x&gt;")
	require.NotContains(t, html, "<killed>")
}

// Each chart is well-formed, shades the fault where it was, and leaves a gap where nothing is
// known.
func TestTheChartsShadeTheFaultAndKeepGaps(t *testing.T) {
	t.Parallel()
	svgs := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(render(t, outcome()), -1)
	require.Len(t, svgs, 3)
	for _, svg := range svgs {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		// 2.75 s are 780 units wide from 56 on: the second from 1 s begins at 339.6 and is 283.6
		// wide.
		require.Contains(t, svg, `<rect class="fault" x="339.6" y="14" width="283.6"`)
		require.NotContains(t, svg, "NaN")
	}
	waiting := regexp.MustCompile(`<path class="c0" d="([^"]*)"`).FindStringSubmatch(svgs[1])[1]
	require.Equal(t, 2, strings.Count(waiting, "M"), "a line, a gap, a line")
}

func TestTheVerdictSaysWhatIsPromisedAndWhatWasFound(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	report.Verdict(&b, outcome())
	require.Contains(t, b.String(), "PASSED")
	require.Regexp(t, `lost +0\n`, b.String())
	require.Regexp(t, `time to recover +1.5s\n`, b.String())
	require.Regexp(t, `failed POSTs +1 \(1 connection refused\)\n`, b.String())
	require.Regexp(t, `broken +broker <killed> for 1s\n`, b.String())

	b.Reset()
	report.Verdict(&b, outcome("one order is lost"))
	require.Contains(t, b.String(), "FAILED   one order is lost")
	require.Contains(t, b.String(), "order 7: lost")
	require.NotContains(t, b.String(), "PASSED")
}

func TestTheLiveViewRedrawsItselfOnATerminalOnly(t *testing.T) {
	t.Parallel()
	var screen, file strings.Builder
	for _, live := range []*report.Live{report.NewLive(&screen, true), report.NewLive(&file, false)} {
		for i := range 3 {
			live.Show(drill.Progress{
				Phase: drill.Breaking, Since: time.Now(), Length: time.Minute,
				Sample: drill.Sample{At: began.Add(time.Duration(i) * time.Second), Totals: load.Totals{Accepted: int64(100 * i)}, Pending: -1},
				Faults: []drill.Fault{{Label: "broker killed", From: began}},
			})
		}
		live.Clear()
	}
	require.Equal(t, 3, strings.Count(screen.String(), "\x1b[J"))
	require.Contains(t, screen.String(), "100 orders/s")
	require.Contains(t, screen.String(), "broker killed")
	require.NotContains(t, file.String(), "\x1b")
	require.Equal(t, 1, strings.Count(file.String(), "\n"), "a line a while, not one a sample")
}
