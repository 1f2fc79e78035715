package relay

import "sync/atomic"

// Budget bounds the bytes that all sources of a process hold together. A source that holds nothing
// may always take one batch, so none is starved. The zero Budget, and none, have no bound.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int) *Budget { return &Budget{limit: int64(bytes)} }

func (b *Budget) add(bytes int) {
	if b != nil {
		b.used.Add(int64(bytes))
	}
}

func (b *Budget) fits(bytes int) bool {
	return b == nil || b.limit == 0 || b.used.Load()+int64(bytes) <= b.limit
}

// charge counts bytes in flight, of this source and of the process.
func (l *loop) charge(bytes int) {
	l.bytes += bytes
	l.options.Budget.add(bytes)
}

// fits says whether so many more bytes may be in flight.
func (l *loop) fits(bytes int) bool {
	return l.bytes+bytes <= l.options.InFlightBytes && l.options.Budget.fits(bytes)
}
