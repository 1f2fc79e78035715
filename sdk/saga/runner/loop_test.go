package runner

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// runFor lets a loop work for a while of virtual time.
func runFor(t *testing.T, l loop, d time.Duration) {
	t.Helper()
	l.log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	l.run(ctx)
}

// After a long outage ten thousand deadlines have passed. They are acted on in batches of at most
// 200, and never more than 500 in any second.
func TestLoop_WhatPassedInAnOutageIsSpreadAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left, began := 10_000, time.Now()
		var finished time.Duration
		perSecond := map[int]int{}
		act := func(_ context.Context, limit int) (int, error) {
			if limit > 200 {
				t.Errorf("a batch of %d", limit)
			}
			n := min(limit, left)
			left -= n
			perSecond[int(time.Since(began)/time.Second)] += n
			if left == 0 && finished == 0 {
				finished = time.Since(began)
			}
			return n, nil
		}
		runFor(t, loop{act: act, every: 200 * time.Millisecond, batch: 200, rate: 500}, time.Minute)
		if left != 0 || finished < 19*time.Second || finished > 21*time.Second {
			t.Errorf("%d are left; it took %s, want 20s", left, finished)
		}
		for second, n := range perSecond {
			if n > 700 { // a batch may straddle two seconds
				t.Errorf("%d in second %d", n, second)
			}
		}
	})
}

func TestLoop_ADatabaseThatFailsIsLeftAloneForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		act := func(context.Context, int) (int, error) { calls++; return 0, errors.New("unavailable") }
		runFor(t, loop{act: act, every: 10 * time.Millisecond, batch: 1, rate: 1}, 10*time.Second)
		if calls < 9 || calls > 11 {
			t.Errorf("%d calls in ten seconds", calls)
		}
	})
}

// An idle loop looks when its next work is due, and once per second at least. What may have brought
// that forward has it look as soon as it did before there were rests.
func TestLoop_AnIdleLoopRestsUntilItsNextWorkIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, r := time.Now(), newRest()
		var looks []time.Duration
		act := func(context.Context, int) (int, error) {
			looks = append(looks, time.Since(began))
			r.due = time.Hour
			if time.Since(began) > 3*time.Second {
				r.due = 300 * time.Millisecond
			}
			return 0, nil
		}
		time.AfterFunc(1300*time.Millisecond, r.disturb) // 100 ms into a rest
		time.AfterFunc(1310*time.Millisecond, r.disturb)
		runFor(t, loop{act: act, every: 200 * time.Millisecond, batch: 1, rate: 1, rest: r}, 4*time.Second)
		want := []time.Duration{200, 1200, 1500, 2500, 3500, 3800}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(looks, want) {
			t.Errorf("it looked at %v, want %v", looks, want)
		}
	})
}
