package load

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Totals is what became of the requests of a load when they were sent for the first time. Latencies count from when a request was due.
type Totals struct {
	Sent, InFlight   int64
	Accepted, Failed int64
	// Retried counts the failed requests that were accepted when they were sent again, and Unanswered
	// those that never were, for as long as it was tried.
	Retried, Unanswered int64
	// Failures counts the failed requests by reason.
	Failures map[string]int64
	// Refused counts those that were answered 503, and LongestRefusal is the slowest of them: how
	// long a client waits to hear that the system cannot.
	Refused        int64
	LongestRefusal time.Duration
	Latency        Latency
}

// Latency sums up the latencies of the accepted orders.
type Latency struct{ P50, P90, P99, P999, Max time.Duration }

// tally counts what became of requests.
type tally struct {
	mu             sync.Mutex
	accepted       *hdrhistogram.Histogram // microseconds
	failures       map[string]int64
	failed         int64
	refused        int64
	longestRefusal time.Duration

	retriedOK, unanswered int64
}

// From a microsecond to ten minutes, to three digits.
func newTally() tally {
	return tally{accepted: hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3), failures: map[string]int64{}}
}

func (t *tally) add(e Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Accepted() {
		// A value out of bounds would be an answer after ten minutes; the timeout is shorter.
		_ = t.accepted.RecordValue(max(1, e.Latency().Microseconds()))
		return
	}
	t.failed++
	t.failures[e.Error]++
	if e.Status == 503 {
		t.refused++
		t.longestRefusal = max(t.longestRefusal, e.Done.Sub(e.Sent))
	}
}

// retried takes what became of a request in the end that had failed at first.
func (t *tally) retried(e Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Accepted():
		t.retriedOK++
	case e.retryable():
		t.unanswered++
	}
}

func (t *tally) totals() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := func(q float64) time.Duration {
		return time.Duration(t.accepted.ValueAtQuantile(q)) * time.Microsecond
	}
	return Totals{
		Accepted: t.accepted.TotalCount(), Failed: t.failed, Failures: maps.Clone(t.failures),
		Retried: t.retriedOK, Unanswered: t.unanswered,
		Refused: t.refused, LongestRefusal: t.longestRefusal,
		Latency: Latency{
			P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
			Max: time.Duration(t.accepted.Max()) * time.Microsecond,
		},
	}
}
