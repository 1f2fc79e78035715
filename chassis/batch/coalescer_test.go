package batch_test

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

	"waybill.example/chassis/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errPoison = errors.New("one request is the cause")
	errDown   = errors.New("the database is down")
)

// commit is what a transaction takes.
const commit = 10 * time.Millisecond

// ledger takes its time, and remembers which requests went together.
type ledger struct {
	mu      sync.Mutex
	batches [][]int
	fail    func(requests []int) error
}

func (l *ledger) do(ctx context.Context, requests []int) ([]int, error) {
	select {
	case <-time.After(commit):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, requests)
	if l.fail != nil {
		if err := l.fail(requests); err != nil {
			return nil, err
		}
	}
	results := make([]int, len(requests))
	for i, w := range requests {
		results[i] = 10 * w
	}
	return results, nil
}

func newCoalescer(l *ledger) *batch.Coalescer[int, int] {
	return batch.New(l.do, batch.Options{
		CanSplit: func(err error) bool { return errors.Is(err, errPoison) },
		Limit:    4,
	})
}

// answer is what a caller got, and when.
type answer struct {
	out int
	err error
	at  time.Duration
}

// ask makes requests 1 to n, a millisecond apart, and returns the answers.
func ask(c *batch.Coalescer[int, int], n int) []answer {
	answers := make([]answer, n+1)
	began := time.Now()
	var callers sync.WaitGroup
	for i := 1; i <= n; i++ {
		callers.Go(func() {
			out, err := c.Do(context.Background(), i)
			answers[i] = answer{out, err, time.Since(began)}
		})
		time.Sleep(time.Millisecond) //nolint:forbidigo // in a synctest bubble
	}
	callers.Wait()
	return answers[1:]
}

func TestCoalescer_FirstRequestIsNotDelayedAndLaterOnesShareTheNextBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		answers := ask(newCoalescer(l), 8)
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3, 4, 5}, {6, 7, 8}}, l.batches))
		for i, a := range answers {
			require.NoError(t, a.err)
			require.Equal(t, 10*(i+1), a.out)
		}
		require.Equal(t, commit, answers[0].at, "no other to wait for")
		require.Equal(t, 2*commit, answers[1].at, "answered after its own commit")
		require.Equal(t, 3*commit, answers[7].at)
	})
}

// However quick a transaction is, those of a stream of requests begin about a window apart; a
// request that comes alone waits for nothing.
func TestCoalescer_TransactionsOfAStreamAreSpaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var began []time.Time
		c := batch.New(func(_ context.Context, requests []int) ([]int, error) {
			began = append(began, time.Now())
			return requests, nil
		}, batch.Options{Limit: 100})
		asked := time.Now()
		for _, a := range ask(c, 500) {
			require.NoError(t, a.err)
		}
		require.Greater(t, len(began), 50)
		require.Less(t, len(began), 100)
		time.Sleep(time.Minute - time.Since(asked)) //nolint:forbidigo // in a synctest bubble
		require.Zero(t, ask(c, 1)[0].at)
	})
}

// Callers who wait for an answer before they ask again get no faster ones by waiting for others:
// one in sixteen transactions is begun late, to see whether others would come.
func TestCoalescer_CallersWhoAskOneAfterTheOtherAreNotSpaced(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			c := batch.New(func(_ context.Context, requests []int) ([]int, error) {
				time.Sleep(time.Millisecond) //nolint:forbidigo // in a synctest bubble
				return requests, nil
			}, batch.Options{Limit: 100})
			began := time.Now()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range 400 {
						_, err := c.Do(t.Context(), 1)
						require.NoError(t, err)
					}
				})
			}
			all.Wait()
			require.Less(t, time.Since(began), 800*time.Millisecond, "two milliseconds each")
		})
	}
}

func TestCoalescer_ARequestThatFailsHarmsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func(requests []int) error {
			if slices.Contains(requests, 3) {
				return errPoison
			}
			return nil
		}}
		for i, a := range ask(newCoalescer(l), 5) {
			if i+1 == 3 {
				require.ErrorIs(t, a.err, errPoison)
				continue
			}
			require.NoError(t, a.err)
			require.Equal(t, 10*(i+1), a.out)
		}
	})
}

// The outcome of a transaction whose commit was not answered is unknown: retried for each request,
// it might take effect twice.
func TestCoalescer_AnErrorThatCannotBeSplitIsNotRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func([]int) error { return errDown }}
		for _, a := range ask(newCoalescer(l), 4) {
			require.ErrorIs(t, a.err, errDown)
		}
		require.Empty(t, cmp.Diff([][]int{{1}, {2, 3, 4}}, l.batches))
	})
}

func TestCoalescer_APanicIsAnErrorOfItsBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{fail: func(requests []int) error {
			if slices.Contains(requests, 2) {
				panic("two")
			}
			return nil
		}}
		answers := ask(newCoalescer(l), 6)
		require.NoError(t, answers[0].err)
		require.ErrorContains(t, answers[1].err, "two")
		require.ErrorContains(t, answers[4].err, "two", "it is unknown whether it was done")
		require.NoError(t, answers[5].err)
	})
}
