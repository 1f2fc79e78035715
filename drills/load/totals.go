package load

import (
	"maps"
	"sync"
	"time"
)

// Totals is what became of the requests of a load when they were sent for the first time. Latencies
// count from when a request was due.
type Totals struct {
	Sent, InFlight   int64
	Accepted, Failed int64
	// Retried counts the failed requests that were accepted when they were sent again, and
	// Unanswered those that never were, for as long as it was tried.
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
	accepted *Histogram

	mu             sync.Mutex
	failures       map[string]int64
	failed         int64
	refused        int64
	longestRefusal time.Duration

	retriedOK, unanswered int64
}

func newTally() tally { return tally{accepted: NewHistogram(), failures: map[string]int64{}} }

func (t *tally) add(e Entry) {
	if e.Accepted() {
		t.accepted.Record(e.Latency())
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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
	return Totals{
		Accepted: t.accepted.Count(), Failed: t.failed, Failures: maps.Clone(t.failures),
		Retried: t.retriedOK, Unanswered: t.unanswered,
		Refused: t.refused, LongestRefusal: t.longestRefusal,
		Latency: Latency{
			P50: t.accepted.Quantile(0.5), P90: t.accepted.Quantile(0.9), P99: t.accepted.Quantile(0.99), P999: t.accepted.Quantile(0.999),
			Max: t.accepted.Max(),
		},
	}
}
