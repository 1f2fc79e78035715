package relay

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const writeSQL = `insert into outbox (topic, key, type, payload) values ($1, $2, 'OrderCreated', $3)`

// write has writers insert one row per transaction, as services do, for so long, and returns the
// rows a second and the longest that one insert took. With a pace it starts at most so many a
// second.
func write(ctx context.Context, db *database, writers int, long time.Duration, pace int) (rate float64, longest time.Duration, err error) {
	var rows, slowest atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	began := time.Now()
	for w := range writers {
		wg.Go(func() {
			for i := 0; time.Since(began) < long; i++ {
				if pace > 0 {
					due := began.Add(time.Duration(i*writers+w) * time.Second / time.Duration(pace))
					pause(ctx, time.Until(due))
				}
				start := time.Now()
				if _, e := db.Exec(ctx, writeSQL, topic, strconv.Itoa(w*1000+i%1000), payload(i)); e != nil {
					once.Do(func() { err = e })
					return
				}
				took := time.Since(start).Nanoseconds()
				for seen := slowest.Load(); took > seen && !slowest.CompareAndSwap(seen, took); seen = slowest.Load() {
				}
				rows.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(rows.Load()) / time.Since(began).Seconds(), time.Duration(slowest.Load()), err
}

// pause waits for so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
