package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram counts durations to three digits. It is safe for concurrent use.
type Histogram struct {
	mu     sync.Mutex
	counts *hdrhistogram.Histogram // microseconds
}

const longest = 10 * time.Minute

// NewHistogram returns one that has counted nothing.
func NewHistogram() *Histogram {
	return &Histogram{counts: hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// Record counts a duration.
func (h *Histogram) Record(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.counts.RecordValue(min(max(1, d.Microseconds()), longest.Microseconds())) // in range
}

// Add counts what another has counted, too. Nobody may use that meanwhile.
func (h *Histogram) Add(other *Histogram) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Merge(other.counts)
}

// Quantile returns the duration that a share q (0 to 1) of those counted do not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(h.counts.ValueAtQuantile(100*q)) * time.Microsecond
}

// Count is how many durations were counted.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts.TotalCount()
}

// Max is the longest duration that was counted.
func (h *Histogram) Max() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(h.counts.Max()) * time.Microsecond
}
