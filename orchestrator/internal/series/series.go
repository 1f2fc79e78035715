// Package series is how the last hour went: how many sagas began, how many of those have ended, and
// how long they took, in intervals of half a minute. It costs nothing while nobody asks. While
// anyone does it reads the newest interval again and again, and older ones rarely: they hardly
// change, and are remembered.
package series

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Interval is what one bucket spans, and Buckets are how many there are.
const (
	Interval = 30 * time.Second
	Buckets  = 120
)

const (
	// fresh is how long an answer is given again without a look.
	fresh = 2 * time.Second
	// budget bounds what one call may spend on buckets that were never read; the next call goes on.
	budget = 100 * time.Millisecond
	// sample bounds the sagas of a bucket that are read: percentiles of so many are good enough,
	// and a bucket that is full says so.
	sample = 20_000
)

// Bucket is one interval, of the sagas that began in it.
type Bucket struct {
	At      time.Time `json:"at" doc:"When the interval began"`
	Started int64     `json:"started" doc:"Sagas that began in it"`
	Ended   int64     `json:"ended" doc:"Those of them that have ended"`
	P50     float64   `json:"p50Ms" doc:"Milliseconds from start to end, of those that have ended: median"`
	P99     float64   `json:"p99Ms"`
	Sampled bool      `json:"sampled,omitzero" doc:"There are more than were counted"`
}

// Series is the last hour.
type Series struct {
	IntervalSeconds int              `json:"intervalSeconds"`
	Buckets         []Bucket         `json:"buckets" nullable:"false" doc:"The oldest first; those that have not been read yet are missing"`
	States          map[string]int64 `json:"states" doc:"The sagas that began in these buckets, by the state that they were last seen in"`
	Complete        bool             `json:"complete" doc:"False while older buckets are still being read"`
}

// Recorder reads the series. It is safe for concurrent use; the zero value with a DB is ready.
type Recorder struct {
	DB interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}

	mu     sync.Mutex
	known  map[int64]bucket // by the number of the interval since 1970
	asked  time.Time
	answer Series
}

// bucket is one that was read, and when.
type bucket struct {
	Bucket
	states map[string]int64
	read   time.Time
}

// Series returns the last hour as of now.
func (r *Recorder) Series(ctx context.Context, now time.Time) (Series, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.asked) < fresh && now.Sub(r.asked) >= 0 && r.answer.Buckets != nil {
		return r.answer, nil
	}
	if err := r.update(ctx, now); err != nil {
		return Series{}, err
	}
	r.asked, r.answer = now, r.sum(now)
	return r.answer, nil
}

// update reads what is due, the newest first: those who look want to know how it is now.
func (r *Recorder) update(ctx context.Context, now time.Time) error {
	if r.known == nil {
		r.known = map[int64]bucket{}
	}
	last := number(now)
	began := time.Now()
	for n := last; n > last-Buckets; n-- {
		old, known := r.known[n]
		if known && !due(now, old) {
			continue
		}
		if !known && n < last-1 && time.Since(began) > budget {
			break
		}
		b, err := r.read(ctx, n, now)
		if err != nil {
			return err
		}
		r.known[n] = b
	}
	for n := range r.known {
		if n <= last-Buckets || n > last {
			delete(r.known, n)
		}
	}
	return nil
}

func number(t time.Time) int64 { return t.UnixNano() / int64(Interval) }

// due says whether a bucket that was read may have changed by now: the newer it is the more often.
func due(now time.Time, b bucket) bool {
	age, read := b.read.Sub(b.At), now.Sub(b.read)
	switch {
	case age < Interval: // it was not over
		return read >= fresh || now.Sub(b.At) >= Interval
	case age < 5*Interval:
		return read >= 20*time.Second
	case age < 20*Interval:
		return read >= 5*time.Minute
	}
	return false
}

// It walks the interval's part of the index sagas_started.
const bucketSQL = `
with began as materialized (
    select state, deadline is null as over, extract(epoch from ended_at - started_at)::float8 * 1000 as ms
    from sagas where started_at >= $1 and started_at < $2
    limit $3
)
select (select count(*) from began),
       count(*) as ended,
       coalesce(percentile_cont(0.5) within group (order by ms), 0),
       coalesce(percentile_cont(0.99) within group (order by ms), 0),
       coalesce((select jsonb_object_agg(state, n) from (select state, count(*) as n from began group by state) s), '{}')
from began where over`

func (r *Recorder) read(ctx context.Context, n int64, now time.Time) (bucket, error) {
	b := bucket{Bucket: Bucket{At: time.Unix(0, n*int64(Interval)).UTC()}, read: now}
	rows, err := r.DB.Query(ctx, bucketSQL, b.At, b.At.Add(Interval), sample)
	if err != nil {
		return b, fmt.Errorf("read an interval of sagas: %w", err)
	}
	b, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (bucket, error) {
		return b, row.Scan(&b.Started, &b.Ended, &b.P50, &b.P99, &b.states)
	})
	if err != nil {
		return b, fmt.Errorf("read an interval of sagas: %w", err)
	}
	b.Sampled = b.Started == sample
	return b, nil
}

func (r *Recorder) sum(now time.Time) Series {
	s := Series{IntervalSeconds: int(Interval.Seconds()), Buckets: []Bucket{}, States: map[string]int64{}, Complete: len(r.known) >= Buckets}
	for n := number(now) - Buckets + 1; n <= number(now); n++ {
		b, known := r.known[n]
		if !known {
			continue
		}
		s.Buckets = append(s.Buckets, b.Bucket)
		for state, count := range b.states {
			s.States[state] += count
		}
	}
	s.Buckets = slices.Clip(s.Buckets)
	return s
}
