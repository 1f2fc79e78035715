package batch_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/batch"
)

func TestCoalescer_ACallerWhoTimesOutWhileWaitingIsNotServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		c := newCoalescer(l)
		var first sync.WaitGroup
		first.Go(func() { _, _ = c.Do(t.Context(), 1) })
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), commit/2)
		defer cancel()
		_, err := c.Do(ctx, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		first.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}}, l.batches))
	})
}

func TestCoalescer_ACallerWhoHangsUpDoesNotCancelTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		c := newCoalescer(l)
		var others sync.WaitGroup
		others.Go(func() { _, _ = c.Do(t.Context(), 1) })
		synctest.Wait()

		hangsUp, hangUp := context.WithCancel(t.Context())
		others.Go(func() {
			_, err := c.Do(hangsUp, 2)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		others.Go(func() {
			out, err := c.Do(t.Context(), 3)
			require.NoError(t, err)
			require.Equal(t, 30, out)
		})
		time.Sleep(commit * 3 / 2) //nolint:forbidigo // in a synctest bubble: 2 and 3 are under way
		hangUp()
		others.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3}}, l.batches))
	})
}

// outcomes is a do that stalls once, for as long as it may, and remembers what it has done.
type outcomes struct {
	mu    sync.Mutex
	stall time.Duration
	done  []int
}

func (o *outcomes) do(ctx context.Context, requests []int) ([]int, error) {
	o.mu.Lock()
	stall := o.stall
	o.mu.Unlock()
	select {
	case <-time.After(stall):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, requests...)
	return requests, nil
}

func (o *outcomes) did(request int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.done, request)
}

// The interleaving that made two orders out of one: A is alone in a transaction that stalls. B and
// C share the next once A has timed out, and B's time is over before the stall is. B's answer must
// be its outcome, however much longer C would wait.
func TestCoalescer_TheAnswerIsTheOutcome(t *testing.T) {
	t.Parallel()
	const allowed = 1500 * time.Millisecond
	for stall := 100 * time.Millisecond; stall < 4*time.Second; stall += 100 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			o := &outcomes{stall: stall}
			c := batch.New(o.do, batch.Options{Limit: 10, CanSplit: func(error) bool { return false }})
			time.AfterFunc(stall, func() { o.mu.Lock(); o.stall = commit; o.mu.Unlock() })
			var callers sync.WaitGroup
			for i, at := range []time.Duration{0, 120, 200, 700, 1200, 1450} {
				callers.Go(func() {
					time.Sleep(at * time.Millisecond) //nolint:forbidigo // in a synctest bubble
					ctx, cancel := context.WithTimeout(t.Context(), allowed)
					defer cancel()
					began := time.Now()
					_, err := c.Do(ctx, i)
					require.LessOrEqual(t, time.Since(began), allowed)
					succeeded := err == nil
					time.Sleep(10 * time.Second) //nolint:forbidigo // in a synctest bubble: all is over by then
					require.Equal(t, succeeded, o.did(i), "caller %d, stall %s: %v", i, stall, err)
				})
			}
			callers.Wait()
		})
	}
}

// Requests that have waited for long must not take the time from those that came later.
func TestCoalescer_ACallerWithLittleTimeLeftIsRefusedAndNotBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		c := newCoalescer(l)
		var callers sync.WaitGroup
		callers.Go(func() { _, _ = c.Do(t.Context(), 1) })
		synctest.Wait()
		for request, allowed := range map[int]time.Duration{2: commit + 1, 3: 3 * commit} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), allowed)
				defer cancel()
				_, err := c.Do(ctx, request)
				if request == 2 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
			})
		}
		callers.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}, {3}}, l.batches))
	})
}

// A database that does not answer holds a transaction only as long as a caller waits for it.
func TestCoalescer_TheEarliestDeadlineEndsTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		began := time.Now()
		c := batch.New(func(ctx context.Context, _ []int) ([]int, error) {
			<-ctx.Done()
			ended = time.Since(began)
			return nil, ctx.Err()
		}, batch.Options{Limit: 4, CanSplit: func(error) bool { return false }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Do(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, time.Second, ended)
	})
}

// A caller that chose a short deadline leaves, and takes no time from those in its batch.
func TestCoalescer_CallersThatMayLeaveDoNotEndTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		c := batch.New(l.do, batch.Options{Limit: 4, MayLeave: true, CanSplit: func(error) bool { return true }})
		var callers sync.WaitGroup
		do := func(n int, within time.Duration) {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				began := time.Now()
				out, err := c.Do(ctx, n)
				if within < commit {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, within, time.Since(began), "it leaves at its own deadline")
					return
				}
				require.NoError(t, err)
				require.Equal(t, 10*n, out)
			})
			synctest.Wait()
		}
		do(1, commit/2)
		do(2, time.Second)
		do(3, commit/5) // gone before the next batch
		callers.Wait()
		require.Empty(t, cmp.Diff([][]int{{2}}, l.batches), "a batch whose callers have all left ends at the latest of their deadlines")
	})
}

func TestCoalescer_ABatchEndsWithTheLatestDeadlineOfCallersThatMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		c := batch.New(l.do, batch.Options{Limit: 4, MayLeave: true, CanSplit: func(error) bool { return false }})
		var callers sync.WaitGroup
		for n, within := range []time.Duration{time.Second, commit + commit/2, time.Second} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				out, err := c.Do(ctx, n)
				if n == 1 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
				require.Equal(t, 10*n, out)
			})
			synctest.Wait()
		}
		callers.Wait()
		require.Empty(t, cmp.Diff([][]int{{0}, {1, 2}}, l.batches))
	})
}
