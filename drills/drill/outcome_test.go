package drill

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/audit"
	"waybill.example/drills/load"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// sound is the outcome of a drill in which Postgres was down from second 10 to second 20.
func sound() *Outcome {
	return &Outcome{
		Totals:   load.Totals{Sent: 2, Accepted: 1, Failed: 1, LongestRefusal: time.Second},
		Recovery: time.Second,
		Faults:   []Fault{{Label: "postgres down", From: at(10), To: at(20), Excuses: true}},
		Requests: []load.Entry{
			{N: 1, Sent: at(1), Done: at(1.1), Status: 202, OrderID: 1},
			{N: 2, Sent: at(12), Done: at(13), Status: 503, Error: "answered 503"},
		},
	}
}

func TestASoundOutcomePasses(t *testing.T) {
	t.Parallel()
	o := sound()
	o.judge()
	require.Empty(t, o.Failures)
	require.True(t, o.Passed())
}

// A verdict that cannot fail proves nothing.
func TestEachBrokenPromiseFailsTheDrill(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*Outcome)
		want  string
	}{
		"the audit found something": {func(o *Outcome) {
			o.Audit.Checks = []audit.Result{{Check: audit.Stock, Findings: []audit.Finding{{Subject: "sku x", Problem: "is wrong", Count: 1}}}}
		}, "audit: stock: 1 findings; the first: sku x is wrong"},
		"something still moved":   {func(o *Outcome) { o.Audit.Open = 3 }, "3 orders or messages were still moving"},
		"nothing was tested":      {func(o *Outcome) { o.Totals.Accepted = 0 }, "no order was accepted"},
		"it never recovered":      {func(o *Outcome) { o.Recovery = unknown }, "not every order had ended"},
		"it recovered late":       {func(o *Outcome) { o.Recovery = 16 * time.Second }, "ended 16s after the fault, not within 15s"},
		"a client is left alone":  {func(o *Outcome) { o.Totals.Unanswered = 2 }, "2 requests were not answered"},
		"a refusal came late":     {func(o *Outcome) { o.Totals.LongestRefusal = 3 * time.Second }, "a 503 came only after 3s"},
		"a POST failed too early": {func(o *Outcome) { o.Requests[1].Sent, o.Requests[1].Done = at(8), at(9) }, "1 POSTs failed that had no reason to: answered 503"},
		"a POST failed too late":  {func(o *Outcome) { o.Requests[1].Sent, o.Requests[1].Done = at(24), at(25) }, "1 POSTs failed that had no reason to"},
		"the fault is no excuse":  {func(o *Outcome) { o.Faults[0].Excuses = false }, "1 POSTs failed that had no reason to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sound()
			c.spoil(o)
			o.judge()
			require.False(t, o.Passed())
			require.Contains(t, o.Failures[0], c.want)
		})
	}
}

func TestLostAndDoubledCountFindings(t *testing.T) {
	t.Parallel()
	o := sound()
	o.Audit.Checks = []audit.Result{
		{Check: audit.Accepted, Findings: []audit.Finding{{Check: audit.Accepted, Count: 1}, {Check: audit.Accepted, Count: 1}}},
		{Check: audit.Once, Findings: []audit.Finding{{Check: audit.Once, Count: 1}}},
	}
	require.Equal(t, 2, o.Lost())
	require.Equal(t, 1, o.Doubled())
}
