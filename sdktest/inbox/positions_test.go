package inbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
)

var part = inbox.Partition{Topic: "t", Partition: 2}

func stored(t *testing.T, pool *pgxpool.Pool) map[inbox.Partition]int64 {
	t.Helper()
	found, err := inbox.NewPositions(pool, "test").Read(t.Context(), []inbox.Partition{part, {Topic: "t", Partition: 0}, {Topic: "u", Partition: 2}})
	require.NoError(t, err)
	return found
}

// What a database has of a batch and how far the consumer had read are the same moment, whatever
// moment the database is taken back to.
func TestPositions_AreStoredWithTheEffectsOrNotAtAll(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	other := delivery(4, "d")
	other.Partition = 0
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(7, "a"), delivery(8, "unknown"), other}))
	want := map[inbox.Partition]int64{part: 9, {Topic: "t", Partition: 0}: 5}
	require.Equal(t, want, stored(t, e.pool))

	e.fail = errors.New("no")
	require.Error(t, e.processor().Process(t.Context(), []inbox.Delivery{delivery(9, "b")}))
	require.Equal(t, want, stored(t, e.pool))

	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(10, "unknown")}), "nothing but a position")
	require.NoError(t, p.Reject(t.Context(), delivery(11, "x"), errors.New("no")))
	want[part] = 12
	require.Equal(t, want, stored(t, e.pool))
}

// While an earlier message of the partition waits, the position stays at it.
func TestPositions_DoNotPassAMessageThatWaits(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	ninth, tenth := delivery(9, "b"), delivery(10, "c")
	ninth.Resume, tenth.Resume = 8, 8
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{ninth, tenth}))
	require.Equal(t, map[inbox.Partition]int64{part: 8}, stored(t, e.pool))
}

func TestPositions_SayUntilWhenAPartitionWasRead(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	until := func() (at *time.Time) {
		require.NoError(t, e.pool.QueryRow(t.Context(), `select read_until from consumer_positions`).Scan(&at))
		return at
	}
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "a")}))
	require.Nil(t, until(), "Kafka has no time for it")

	newest := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)
	later, earlier := delivery(2, "b"), delivery(3, "c")
	later.Time, earlier.Time = newest, newest.Add(-time.Hour)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{later, earlier}))
	require.True(t, newest.Equal(*until()))

	future := delivery(4, "d")
	future.Time = time.UnixMilli(1 << 60)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{future}))
	require.WithinDuration(t, time.Now(), *until(), time.Minute, "a producer's clock is not to be trusted")
}

// A database that is restored or failed over while the consumer stays connected does not have what
// the consumer believes. Going on would lose what it lost.
func TestPositions_ADatabaseThatHasGoneBackIsNoticedBeforeTheNextBatch(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	p.Positions = inbox.NewPositions(e.pool, p.Consumer)
	for offset := range int64(3) {
		require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(offset, uuid.NewString())}))
	}
	_, err := e.pool.Exec(t.Context(), `update consumer_positions set next_offset = 1`)
	require.NoError(t, err)

	batch := []inbox.Delivery{delivery(3, "new")}
	for range 2 { // trying again does not help
		err = p.Process(t.Context(), batch)
		require.True(t, inbox.Rewound(err), "%v", err)
	}
	require.Zero(t, e.count(t, `select count(*) from inbox where "offset" = 3`))

	found, err := p.Positions.Read(t.Context(), []inbox.Partition{part})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "again"), delivery(2, "again too")}))
	require.NoError(t, p.Process(t.Context(), batch))
	require.Equal(t, map[inbox.Partition]int64{part: 4}, stored(t, e.pool))
	require.False(t, inbox.Rewound(errors.New("no")))
}

// A topic that was deleted and made again begins at 0, and so does the position.
func TestPositions_FollowATopicThatBeginsAgain(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	p.Positions = inbox.NewPositions(e.pool, p.Consumer)
	for _, offset := range []int64{5000, 5001, 0, 1} {
		require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(offset, uuid.NewString())}))
		require.Equal(t, map[inbox.Partition]int64{part: offset + 1}, stored(t, e.pool))
	}
}

// A process that was frozen is considered dead, and another reads its partitions. When it goes on,
// the batch that it had in hand must not put the position back to where it was.
func TestPositions_OfAnotherProcessAreNotTakenBack(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	frozen, other := e.processor(), e.processor()
	frozen.Positions = inbox.NewPositions(e.pool, frozen.Consumer)
	other.Positions = inbox.NewPositions(e.pool, other.Consumer)
	first, last := []inbox.Delivery{delivery(1, uuid.NewString())}, []inbox.Delivery{delivery(2, uuid.NewString())}
	require.NoError(t, frozen.Process(t.Context(), first))
	_, err := other.Positions.Read(t.Context(), []inbox.Partition{part})
	require.NoError(t, err)
	require.NoError(t, other.Process(t.Context(), last))
	require.NoError(t, other.Process(t.Context(), []inbox.Delivery{delivery(3, uuid.NewString())}))

	err = frozen.Process(t.Context(), last)
	require.True(t, inbox.Rewound(err), "%v", err)
	require.Equal(t, map[inbox.Partition]int64{part: 4}, stored(t, e.pool))
}

// The other process may have read again what the database had already, and so have written the
// offset that the frozen one knows. That is a position of its own, too: if it went back now, the
// other would not notice while no message comes, and deadlines would wait for that long.
func TestPositions_ThatAnotherProcessWroteAgainAreNotTakenBack(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	before, frozen, other := e.processor(), e.processor(), e.processor()
	batch := []inbox.Delivery{delivery(1, uuid.NewString()), delivery(2, uuid.NewString()), delivery(3, uuid.NewString())}
	before.Positions = inbox.NewPositions(e.pool, before.Consumer)
	require.NoError(t, before.Process(t.Context(), batch))
	for _, p := range []*inbox.Processor[string, int64]{frozen, other} {
		p.Positions = inbox.NewPositions(e.pool, p.Consumer)
		_, err := p.Positions.Read(t.Context(), []inbox.Partition{part})
		require.NoError(t, err)
	}
	require.NoError(t, other.Process(t.Context(), batch))

	err := frozen.Process(t.Context(), batch[:2])
	require.True(t, inbox.Rewound(err), "%v", err)
	require.Equal(t, map[inbox.Partition]int64{part: 4}, stored(t, e.pool))
}
