package gather_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/orders/internal/gather"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errPoison = errors.New("one of them is to blame")
	errAway   = errors.New("the database is away")
)

// commit is what a transaction takes.
const commit = 10 * time.Millisecond

// ledger takes its time, and remembers which wishes went together.
type ledger struct {
	mu     sync.Mutex
	groups [][]int
	fail   func(wishes []int) error
}

func (l *ledger) all(ctx context.Context, wishes []int) ([]int, error) {
	select {
	case <-time.After(commit):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = append(l.groups, wishes)
	if l.fail != nil {
		if err := l.fail(wishes); err != nil {
			return nil, err
		}
	}
	results := make([]int, len(wishes))
	for i, w := range wishes {
		results[i] = 10 * w
	}
	return results, nil
}

func newGroup(l *ledger) *gather.Group[int, int] {
	return &gather.Group[int, int]{
		All:       l.all,
		Separable: func(err error) bool { return errors.Is(err, errPoison) },
		Limit:     4,
	}
}

// answer is what a caller was told, and when.
type answer struct {
	out int
	err error
	at  time.Duration
}

// ask has wishes 1 to n come one after the other, a millisecond apart, and returns the answers.
func ask(g *gather.Group[int, int], n int) []answer {
	answers := make([]answer, n+1)
	began := time.Now()
	var callers sync.WaitGroup
	for i := 1; i <= n; i++ {
		callers.Go(func() {
			out, err := g.Do(context.Background(), i)
			answers[i] = answer{out, err, time.Since(began)}
		})
		time.Sleep(time.Millisecond) //nolint:forbidigo // in a synctest bubble
	}
	callers.Wait()
	return answers[1:]
}

func TestTheFirstGoesAtOnceAndThoseWhoComeMeanwhileGoTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		answers := ask(newGroup(l), 8)
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3, 4, 5}, {6, 7, 8}}, l.groups))
		for i, a := range answers {
			require.NoError(t, a.err)
			require.Equal(t, 10*(i+1), a.out)
		}
		require.Equal(t, commit, answers[0].at, "nobody to wait for")
		require.Equal(t, 2*commit, answers[1].at, "answered after its own commit")
		require.Equal(t, 3*commit, answers[7].at)
	})
}

func TestAWishThatCannotBeDoneHarmsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func(wishes []int) error {
			if slices.Contains(wishes, 3) {
				return errPoison
			}
			return nil
		}}
		for i, a := range ask(newGroup(l), 5) {
			if i+1 == 3 {
				require.ErrorIs(t, a.err, errPoison)
				continue
			}
			require.NoError(t, a.err)
			require.Equal(t, 10*(i+1), a.out)
		}
	})
}

// Nobody knows what became of a transaction whose commit was not answered: done again for each, it
// might be done twice.
func TestAnErrorOfThemAllIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func([]int) error { return errAway }}
		for _, a := range ask(newGroup(l), 4) {
			require.ErrorIs(t, a.err, errAway)
		}
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3, 4}}, l.groups))
	})
}

func TestACallerWhoGivesUpWhileWaitingIsNotServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		g := newGroup(l)
		var first sync.WaitGroup
		first.Go(func() { _, _ = g.Do(t.Context(), 1) })
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), commit/2)
		defer cancel()
		_, err := g.Do(ctx, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		first.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}}, l.groups))
	})
}

func TestACallerWhoGivesUpDoesNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		g := newGroup(l)
		var others sync.WaitGroup
		others.Go(func() { _, _ = g.Do(t.Context(), 1) })
		synctest.Wait()

		hangsUp, hangUp := context.WithCancel(t.Context())
		others.Go(func() {
			_, err := g.Do(hangsUp, 2)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		others.Go(func() {
			out, err := g.Do(t.Context(), 3)
			require.NoError(t, err)
			require.Equal(t, 30, out)
		})
		time.Sleep(commit * 3 / 2) //nolint:forbidigo // in a synctest bubble: 2 and 3 are under way
		hangUp()
		others.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3}}, l.groups))
	})
}

// outcomes is an All that stalls once, for as long as it may, and remembers what it has done.
type outcomes struct {
	mu    sync.Mutex
	stall time.Duration
	done  []int
}

func (o *outcomes) all(ctx context.Context, wishes []int) ([]int, error) {
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
	o.done = append(o.done, wishes...)
	return wishes, nil
}

func (o *outcomes) did(wish int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.done, wish)
}

// The interleaving that made two orders out of one: A is alone in a transaction that stalls. B and C go
// together once A is given up, and B's time is over before the stall is. What B is told must be what
// becomes of it, however much longer C would wait.
func TestGroup_WhatACallerIsToldIsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	const allowed = 1500 * time.Millisecond
	for stall := 100 * time.Millisecond; stall < 4*time.Second; stall += 100 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			o := &outcomes{stall: stall}
			g := &gather.Group[int, int]{All: o.all, Limit: 10, Separable: func(error) bool { return false }}
			time.AfterFunc(stall, func() { o.mu.Lock(); o.stall = commit; o.mu.Unlock() })
			var callers sync.WaitGroup
			for i, at := range []time.Duration{0, 120, 200, 700, 1200, 1450} {
				callers.Go(func() {
					time.Sleep(at * time.Millisecond) //nolint:forbidigo // in a synctest bubble
					ctx, cancel := context.WithTimeout(t.Context(), allowed)
					defer cancel()
					began := time.Now()
					_, err := g.Do(ctx, i)
					require.LessOrEqual(t, time.Since(began), allowed)
					told := err == nil
					time.Sleep(10 * time.Second) //nolint:forbidigo // in a synctest bubble: all is over by then
					require.Equal(t, told, o.did(i), "caller %d, stall %s: %v", i, stall, err)
				})
			}
			callers.Wait()
		})
	}
}

// Those who have waited for long must not take the time from those who came later.
func TestGroup_ACallerWithLittleTimeLeftIsRefusedAndNotBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		g := newGroup(l)
		var callers sync.WaitGroup
		callers.Go(func() { _, _ = g.Do(t.Context(), 1) })
		synctest.Wait()
		for wish, allowed := range map[int]time.Duration{2: commit + 1, 3: 3 * commit} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), allowed)
				defer cancel()
				_, err := g.Do(ctx, wish)
				if wish == 2 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
			})
		}
		callers.Wait()
		require.Empty(t, cmp.Diff([][]int{{1}, {3}}, l.groups))
	})
}

func TestGroup_APanicIsAnErrorOfThoseWhoShareIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func(wishes []int) error {
			if slices.Contains(wishes, 2) {
				panic("two")
			}
			return nil
		}}
		answers := ask(newGroup(l), 6)
		require.NoError(t, answers[0].err)
		require.ErrorContains(t, answers[1].err, "two")
		require.ErrorContains(t, answers[4].err, "two", "nobody knows whether it was done")
		require.NoError(t, answers[5].err)
	})
}

// A database that does not answer holds a transaction only as long as somebody waits for it.
func TestGroup_TheEarliestDeadlineEndsTheTransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		began := time.Now()
		g := &gather.Group[int, int]{
			Limit: 4,
			All: func(ctx context.Context, _ []int) ([]int, error) {
				<-ctx.Done()
				ended = time.Since(began)
				return nil, ctx.Err()
			},
			Separable: func(error) bool { return false },
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := g.Do(ctx, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Equal(t, time.Second, ended)
	})
}
