package store

import (
	"sync/atomic"
	"time"
)

// clock is the database's: deadlines that several orchestrators set and act on
// have to be told by one. It is read along with other statements, and in between
// this process's clock carries it on.
type clock struct {
	ahead atomic.Int64 // of this process's clock, nanoseconds
}

// Now is the time by the database's clock, as far as it is known.
func (s *Store) Now() time.Time { return time.Now().Add(time.Duration(s.clock.ahead.Load())) }

// set notes that the database's clock showed now some time between asked and answered.
func (c *clock) set(now, asked, answered time.Time) {
	c.ahead.Store(int64(now.Sub(asked.Add(answered.Sub(asked) / 2))))
}
