package store

import (
	"sync/atomic"
	"time"
)

// clock is the database's: deadlines that several processes set and act on must follow one. It is
// read along with other statements, and in between this process's clock carries it on.
type clock struct {
	ahead atomic.Int64 // of this process's clock, nanoseconds
}

// Now is the time by the database's clock, as far as it is known.
func (s *Store) Now() time.Time {
	if s.Clock != nil {
		return s.Clock()
	}
	return time.Now().Add(time.Duration(s.clock.ahead.Load()))
}

// set notes that the database's clock showed now at some time between asked and answered.
func (c *clock) set(now, asked, answered time.Time) {
	c.ahead.Store(int64(now.Sub(asked.Add(answered.Sub(asked) / 2))))
}

// fixed is the time that statements use instead of the database's; nil is the database's.
func (s *Store) fixed() *time.Time {
	if s.Clock == nil {
		return nil
	}
	now := s.Clock()
	return &now
}
