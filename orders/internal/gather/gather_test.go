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

	"waybill/orders/internal/gather"
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

// A database that does not answer holds a transaction only as long as somebody waits for it.
func TestTheLastDeadlineEndsTheTransaction(t *testing.T) {
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
