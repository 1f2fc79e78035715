package drill

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"waybill.example/drills/audit"
	"waybill.example/drills/load"
)

// Fault is a stretch of time in which something was broken.
type Fault struct {
	Label    string    `json:"label"`
	From, To time.Time // To is zero while it lasts
	// Excuses: a POST may fail meanwhile, because what it needs is down.
	Excuses bool
}

// Sample is the system at one moment. A number that could not be read is negative.
type Sample struct {
	At      time.Time
	Totals  load.Totals
	Pending int64 // orders that are PENDING
	Outbox  int64 // rows that wait to be published, over all databases
}

// Outcome is what a drill has shown.
type Outcome struct {
	Drill    Drill
	Rate     float64
	Began    time.Time
	Ended    time.Time
	Totals   load.Totals
	Samples  []Sample
	Faults   []Fault
	Requests []load.Entry // each as it was sent for the first time
	// Confirmed, Cancelled and Pending count the orders at the end.
	Confirmed, Cancelled, Pending int64
	// Recovery is the time from the end of the last fault until every order taken before it had
	// ended; negative if that did not happen.
	Recovery time.Duration
	Audit    audit.Report
	// Measured are the drill's own measurements, in words.
	Measured []string
	// Failures say why the drill did not pass.
	Failures []string
}

// Passed reports whether every promise was kept.
func (o *Outcome) Passed() bool { return len(o.Failures) == 0 }

// Count returns how many things the audit's check has found.
func (o *Outcome) Count(c audit.Check) (n int) {
	for _, f := range o.Audit.Findings() {
		if f.Check == c {
			n += f.Count
		}
	}
	return n
}

// Lost counts the orders that a client got a 202 for and that are not there, whether or not
// the drill passes without them.
func (o *Outcome) Lost() int { return o.Count(audit.Accepted) + o.Audit.Gone }

// Doubled counts the effects that happened twice.
func (o *Outcome) Doubled() int { return o.Count(audit.Once) + o.Count(audit.Stock) }

// LongestPost is the longest that a client waited for a 202.
func (o *Outcome) LongestPost() time.Duration { return o.Totals.Latency.Max }

// refusedWithin is how soon a client has to hear that the database is down.
const refusedWithin = 2 * time.Second

// judge says what went against the promises.
func (o *Outcome) judge() {
	fail := func(format string, args ...any) { o.Failures = append(o.Failures, fmt.Sprintf(format, args...)) }
	for _, c := range o.Audit.Checks {
		if n := c.Count(); n > 0 {
			fail("audit: %s: %d findings; the first: %s %s", c.Check, n, c.Findings[0].Subject, c.Findings[0].Problem)
		}
	}
	if o.Audit.Open > 0 {
		fail("audit: %d orders or messages were still moving", o.Audit.Open)
	}
	if o.Totals.Accepted == 0 {
		fail("no order was accepted: nothing was tested")
	}
	switch within := o.Drill.within(); {
	case o.Recovery < 0:
		fail("not every order had ended %s after the fault", within)
	case o.Recovery > within:
		fail("the last order ended %s after the fault, not within %s", o.Recovery.Round(time.Millisecond), within)
	}
	failed := o.unexcused()
	for _, why := range slices.Sorted(maps.Keys(failed)) {
		fail("%d POSTs failed that had no reason to: %s", failed[why], why)
	}
	if n := o.Totals.Unanswered; n > 0 {
		fail("%d requests were not answered, however often they were sent again", n)
	}
	if slow := o.Totals.LongestRefusal; slow > refusedWithin+refusedWithin/20 {
		fail("a 503 came only after %s", slow.Round(time.Millisecond))
	}
}

// unexcused counts the failed requests, by reason, that cannot be put down to a fault.
func (o *Outcome) unexcused() map[string]int {
	failed := map[string]int{}
	for _, e := range o.Requests {
		if !e.Accepted() && !slices.ContainsFunc(o.Faults, func(f Fault) bool { return f.excuses(e) }) {
			failed[e.Error]++
		}
	}
	return failed
}

// grace is how long a client and a pool may take to find out that a server is back.
const grace = 3 * time.Second

func (f Fault) excuses(e load.Entry) bool {
	return f.Excuses && e.Done.After(f.From) && (f.To.IsZero() || e.Sent.Before(f.To.Add(grace)))
}
