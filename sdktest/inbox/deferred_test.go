package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

// deferred is a processor whose positions may lag for longer than the test takes.
func deferred(t *testing.T) (*effects, *inbox.Processor[string, int64]) {
	t.Helper()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	p.Positions = inbox.NewPositions(e.pool, p.Consumer)
	p.Positions.Defer(time.Hour)
	return e, p
}

func one(offset int64) []inbox.Delivery {
	return []inbox.Delivery{delivery(offset, fmt.Sprint("message ", offset))}
}

// A position that lags is lower than what the database has, so what is read again is a duplicate.
func TestPositions_DeferredLagUntilTheyAreFlushed(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	for offset := range int64(4) {
		require.NoError(t, p.Process(t.Context(), one(offset)))
	}
	require.Equal(t, map[inbox.Partition]int64{part: 1}, stored(t, e.pool), "the first batch of a partition writes its position")
	written, ok := p.Positions.Written(part)
	require.True(t, ok)
	require.Equal(t, int64(1), written)

	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(4, "unknown")}), "nothing but a position")
	require.NoError(t, p.Positions.Flush(t.Context()))
	require.Equal(t, map[inbox.Partition]int64{part: 5}, stored(t, e.pool))
	written, _ = p.Positions.Written(part)
	require.Equal(t, int64(5), written)
	require.NoError(t, p.Positions.Flush(t.Context()), "nothing lags")

	require.NoError(t, p.Process(t.Context(), one(5)))
	require.Equal(t, map[inbox.Partition]int64{part: 6}, stored(t, e.pool), "the next batch shows that the positions are still there")
}

// The database fails over to a standby that lacked the last batch, and no message comes after it.
// What it lost has to be read again all the same.
func TestPositions_AnIdleConsumerNoticesADatabaseThatHasGoneBack(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	p.Positions.Defer(time.Nanosecond)
	for offset := range int64(3) {
		require.NoError(t, p.Process(t.Context(), one(offset)))
	}
	for range 3 {
		require.NoError(t, p.Positions.Flush(t.Context()))
	}
	_, err := e.pool.Exec(t.Context(), `update consumer_positions set next_offset = 2`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return inbox.Rewound(p.Positions.Flush(t.Context())) }, time.Minute, time.Millisecond)
	_, err = p.Positions.Read(t.Context(), []inbox.Partition{part})
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, p.Positions.Flush(t.Context()))
	}
}

// What lags goes along with the first batch after the interval, whichever partitions that has.
func TestPositions_DeferredAreWrittenWithABatchAfterTheInterval(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	other := delivery(70, "other")
	other.Partition = 0
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "a"), other}))
	require.NoError(t, p.Process(t.Context(), one(2)))
	other.Offset, other.Value = 71, []byte("other too")
	p.Positions.Defer(time.Nanosecond)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{other}))
	require.Equal(t, map[inbox.Partition]int64{part: 3, {Topic: "t", Partition: 0}: 72}, stored(t, e.pool))
}

// The database loses the last batch only: it fails over to a standby that lacked the last
// milliseconds. No position shows it, since the batch had not moved one. Without a witness, the
// next write would move the position past a message whose effect is lost.
func TestPositions_ADatabaseThatLostOneBatchIsNoticedThoughPositionsLag(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(context.Context, *inbox.Processor[string, int64]) error{
		"by a batch whose positions lag": func(ctx context.Context, p *inbox.Processor[string, int64]) error {
			return p.Process(ctx, one(3))
		},
		"by a batch that writes positions": func(ctx context.Context, p *inbox.Processor[string, int64]) error {
			p.Positions.Defer(time.Nanosecond)
			return p.Process(ctx, one(3))
		},
		"by a batch without a message for this consumer": func(ctx context.Context, p *inbox.Processor[string, int64]) error {
			p.Positions.Defer(time.Nanosecond)
			return p.Process(ctx, []inbox.Delivery{delivery(3, "unknown")})
		},
		"by a dead letter": func(ctx context.Context, p *inbox.Processor[string, int64]) error {
			return p.Reject(ctx, delivery(3, "x"), errors.New("no"))
		},
		"by a flush": func(ctx context.Context, p *inbox.Processor[string, int64]) error { return p.Positions.Flush(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, p := deferred(t)
			for offset := range int64(3) {
				require.NoError(t, p.Process(t.Context(), one(offset)))
			}
			for _, table := range []string{`inbox where "offset" = 2`, `effect where what = 'message 2'`} {
				tag, err := e.pool.Exec(t.Context(), "delete from "+table)
				require.NoError(t, err)
				require.Equal(t, int64(1), tag.RowsAffected())
			}
			for range 2 { // trying again does not help
				err := next(t.Context(), p)
				require.True(t, inbox.Rewound(err), "%v", err)
			}
			require.Zero(t, e.count(t, `select count(*) from inbox where "offset" = 3`))

			found, err := p.Positions.Read(t.Context(), []inbox.Partition{part})
			require.NoError(t, err)
			require.Equal(t, map[inbox.Partition]int64{part: 1}, found)
			for offset := range int64(3) {
				require.NoError(t, p.Process(t.Context(), one(1+offset)))
			}
			require.NoError(t, p.Positions.Flush(t.Context()))
			require.Equal(t, map[inbox.Partition]int64{part: 4}, stored(t, e.pool))
			require.Equal(t, 4, e.count(t, "select count(distinct what) from effect"))
		})
	}
}

// A partition that was assigned a moment ago has no batch yet that could be missing: its position
// is what must still be there.
func TestPositions_TheFirstBatchOfAPartitionThatWasAssignedChecksItsPosition(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	for offset := range int64(3) {
		require.NoError(t, p.Process(t.Context(), one(offset)))
	}
	require.NoError(t, p.Positions.Flush(t.Context()))
	other := delivery(70, "of a partition that it keeps")
	other.Partition = 0
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{other}), "writes positions, so that the next batch need not")
	_, err := p.Positions.Read(t.Context(), []inbox.Partition{part})
	require.NoError(t, err)
	_, err = e.pool.Exec(t.Context(), "update consumer_positions set next_offset = 2 where partition = 2")
	require.NoError(t, err)
	err = p.Process(t.Context(), one(3))
	require.True(t, inbox.Rewound(err), "%v", err)
}

// A message that Apply refuses is not recorded under its own id, and a batch of nothing else is a
// witness all the same.
func TestPositions_ABatchThatApplyRefusedAltogetherIsAWitness(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	refuses := true
	p.Apply = picky(e, &refuses).Apply
	for offset := range int64(3) {
		require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(offset, fmt.Sprint("bad ", offset))}))
	}
	require.NoError(t, p.Positions.Flush(t.Context()))
	require.Equal(t, map[inbox.Partition]int64{part: 3}, stored(t, e.pool))
}

// Another process has the partition now and writes its position.
func TestPositions_OfAPartitionThatWasGivenUpAreNotWritten(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	require.NoError(t, p.Process(t.Context(), one(1)))
	require.NoError(t, p.Process(t.Context(), one(2)))
	p.Positions.Forget(part)
	_, ok := p.Positions.Written(part)
	require.False(t, ok)
	require.NoError(t, p.Positions.Flush(t.Context()))
	require.Equal(t, map[inbox.Partition]int64{part: 2}, stored(t, e.pool))
}

// Consumers of a process share their positions. Wherever the log is cut, each partition's own last
// batch is what says whether it is still there.
func TestPositions_DeferredHoldForConcurrentConsumers(t *testing.T) {
	t.Parallel()
	e, p := deferred(t)
	p.Apply = func(context.Context, *inbox.Tx, *int64, []inbox.Received[string]) ([]outbox.Message, error) {
		return nil, nil
	}
	var wg sync.WaitGroup
	for partition := range int32(4) {
		wg.Go(func() {
			for offset := range int64(40) {
				d := delivery(offset, uuid.NewString())
				d.Partition = partition
				if err := p.Process(t.Context(), []inbox.Delivery{d}); err != nil {
					t.Error(err)
				}
				if offset%8 == 7 && p.Positions.Flush(t.Context()) != nil {
					t.Error("flush")
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, p.Positions.Flush(t.Context()))
	require.Equal(t, 4, e.count(t, "select count(*) from consumer_positions where next_offset = 40"))
}
