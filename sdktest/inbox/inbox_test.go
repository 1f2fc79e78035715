package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/outbox"
)

func entry(n byte) inbox.Entry {
	return inbox.Entry{EventID: uuid.UUID{15: n}, Delivery: inbox.Delivery{Topic: "t", Partition: 1, Offset: int64(n)}}
}

func accept(ctx context.Context, tx pgx.Tx, consumer string, ids ...byte) ([]int, error) {
	entries := make([]inbox.Entry, len(ids))
	for i, id := range ids {
		entries[i] = entry(id)
	}
	return inbox.Accept(ctx, tx, consumer, entries)
}

func TestAcceptReturnsWhatIsNewInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	steps := []struct {
		consumer string
		ids      []byte
		want     []int
	}{
		{"a", []byte{3, 1, 3, 2}, []int{0, 1, 3}}, // twice in one call counts once
		{"a", []byte{4, 1, 5}, []int{0, 2}},
		{"a", []byte{1, 2, 3}, []int{}},
		{"b", []byte{1}, []int{0}}, // each consumer has its own
		{"a", nil, nil},
	}
	for _, s := range steps {
		require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			got, err := accept(t.Context(), tx, s.consumer, s.ids...)
			require.Equal(t, s.want, got)
			return err
		}))
	}
}

func TestARolledBackEffectTakesItsInboxRowsBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = accept(t.Context(), tx, "a", 1)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))

	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		got, err := accept(t.Context(), tx, "a", 1)
		require.Equal(t, []int{0}, got)
		return err
	}))
}

// Two consumers of one group can hold the same messages for a moment, around a rebalance. Exactly
// one of them may find each message new, whichever order they came in.
func TestTwoTransactionsWithTheSameMessagesNeitherDoubleNorDeadlock(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	for round := range 20 {
		a, b := byte(2*round+1), byte(2*round+2)
		counts := make(chan int, 2)
		for _, ids := range [][]byte{{a, b}, {b, a}} {
			go func() {
				n := -1
				defer func() { counts <- n }()
				_ = pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
					got, err := accept(t.Context(), tx, "a", ids...)
					if err == nil {
						n = len(got)
					}
					return err
				})
			}()
		}
		first, second := <-counts, <-counts
		require.Equal(t, 2, first+second, "round %d: %d and %d", round, first, second)
	}
}

// effects counts what was applied, in the database, as a real consumer would.
type effects struct {
	pool *pgxpool.Pool
	fail error
}

func newEffects(t *testing.T, pool *pgxpool.Pool) *effects {
	t.Helper()
	_, err := pool.Exec(t.Context(), `create table effect (what text)`)
	require.NoError(t, err)
	return &effects{pool: pool}
}

func (e *effects) processor() *inbox.Processor[string, int64] {
	return &inbox.Processor[string, int64]{
		Consumer: "test",
		DB:       e.pool,
		Decode: func(d inbox.Delivery) (uuid.UUID, string, error) {
			switch string(d.Value) {
			case "unknown":
				return uuid.Nil, "", fmt.Errorf("%w: unknown type", inbox.ErrSkip)
			case "garbage":
				return uuid.Nil, "", errors.New("not JSON\x00")
			}
			return uuid.NewSHA1(uuid.NameSpaceOID, d.Value), string(d.Value), nil
		},
		Apply: func(ctx context.Context, tx *inbox.Tx, _ *int64, batch []inbox.Received[string]) ([]outbox.Message, error) {
			var replies []outbox.Message
			for _, m := range batch {
				if _, err := tx.Exec(ctx, `insert into effect values ($1)`, m.Message); err != nil {
					return nil, err
				}
				replies = append(replies, outbox.Message{Topic: "replies", Type: "Done", Payload: []byte(m.Message)})
			}
			return replies, e.fail
		},
	}
}

func (e *effects) count(t *testing.T, sql string) int {
	t.Helper()
	var n int
	require.NoError(t, e.pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

func delivery(offset int64, value string) inbox.Delivery {
	return inbox.Delivery{Topic: "t", Partition: 2, Offset: offset, Key: []byte("k"), Value: []byte(value)}
}

func TestAMessageDeliveredAgainTakesEffectOnce(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	var last inbox.Outcome
	p.Observe = func(o inbox.Outcome) { last = o }

	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "a"), delivery(2, "b"), delivery(3, "a")}))
	require.Equal(t, inbox.Outcome{Applied: 2, Duplicates: 1}, last)
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(2, "b"), delivery(4, "c")}))
	require.Equal(t, inbox.Outcome{Applied: 1, Duplicates: 1}, last)
	require.Equal(t, 3, e.count(t, `select count(*) from effect`))
	require.Equal(t, 3, e.count(t, `select count(*) from outbox where topic = 'replies'`))
}

func TestAFailedBatchLeavesNothingAndMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	e.fail = errors.New("no")
	batch := []inbox.Delivery{delivery(1, "a"), delivery(2, "garbage")}
	require.ErrorIs(t, e.processor().Process(t.Context(), batch), e.fail)
	for _, table := range []string{"effect", "inbox", "outbox"} {
		require.Zero(t, e.count(t, `select count(*) from `+table), table)
	}
	e.fail = nil
	require.NoError(t, e.processor().Process(t.Context(), batch))
	require.Equal(t, 1, e.count(t, `select count(*) from effect`))
}

// What Load reads is there when Apply decides, and what Apply leaves for the last round trip
// happens with the commit, or nothing does.
func TestWritesTravelWithTheCommitAndTakeTheBatchBackWhereTheyFail(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	expected := int64(2)
	p.Load = func(reads *pgx.Batch, _ []inbox.Received[string]) *int64 {
		var before int64
		reads.Queue("select count(*) from effect").QueryRow(func(row pgx.Row) error { return row.Scan(&before) })
		return &before
	}
	p.Apply = func(_ context.Context, tx *inbox.Tx, before *int64, batch []inbox.Received[string]) ([]outbox.Message, error) {
		for _, m := range batch {
			tx.Last.Queue("insert into effect values ($1)", m.Message)
		}
		tx.Last.Queue("select inbox_expect(count(*), $1) from effect", *before+expected)
		return []outbox.Message{{Topic: "replies", Type: "Done"}}, nil
	}
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "a"), delivery(2, "b")}))
	require.Equal(t, 2, e.count(t, `select count(*) from effect`))

	third := []inbox.Delivery{delivery(2, "b"), delivery(3, "c")}
	require.ErrorContains(t, p.Process(t.Context(), third), "another transaction was faster")
	require.Equal(t, 2, e.count(t, `select count(*) from effect`))
	require.Equal(t, 2, e.count(t, `select count(*) from inbox`))
	expected = 1
	require.NoError(t, p.Process(t.Context(), third))
	require.Equal(t, 3, e.count(t, `select count(*) from effect`))
	require.Equal(t, 2, e.count(t, `select count(*) from outbox`))
}

// A batch that fails after Apply and is tried again decides on what was read for the second
// attempt, and says only once what it did.
func TestProcessor_WhatLoadReadBelongsToTheAttemptAndOnlyACommitIsReported(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	p.Load = func(reads *pgx.Batch, _ []inbox.Received[string]) *int64 {
		count := int64(-1)
		reads.Queue("select count(*) from effect").QueryRow(func(row pgx.Row) error { return row.Scan(&count) })
		return &count
	}
	var applied, reported []int64
	p.Apply = func(_ context.Context, tx *inbox.Tx, count *int64, batch []inbox.Received[string]) ([]outbox.Message, error) {
		applied = append(applied, *count)
		tx.AfterCommit(func() { reported = append(reported, *count) })
		tx.Last.Queue("insert into effect values ($1)", batch[0].Message)
		if len(applied) == 1 {
			tx.Last.Queue("select inbox_expect(1, 2)")
		}
		return nil, nil
	}
	batch := []inbox.Delivery{delivery(1, "a")}
	require.Error(t, p.Process(t.Context(), batch))
	_, err := e.pool.Exec(t.Context(), "insert into effect values ('of another')")
	require.NoError(t, err)
	require.NoError(t, p.Process(t.Context(), batch))
	require.NoError(t, p.Process(t.Context(), batch), "a duplicate is loaded for, and not applied")
	require.Equal(t, []int64{0, 1}, applied)
	require.Equal(t, []int64{1}, reported)
}

func TestTx_NowIsTheTimeOfTheTransactionByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	p.Apply = func(ctx context.Context, tx *inbox.Tx, _ *int64, _ []inbox.Received[string]) ([]outbox.Message, error) {
		var now time.Time
		err := tx.QueryRow(ctx, "select now()").Scan(&now)
		require.True(t, now.Equal(tx.Now), "%v and %v", now, tx.Now)
		return nil, err
	}
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "a"), delivery(2, "garbage")}))
}

func TestAnUnusableMessageIsSetAsideOnceWithItsReason(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	poison := delivery(7, "garbage")
	id := uuid.New()
	poison.Headers = []inbox.Header{{Key: "ce_id", Value: []byte(id.String())}, {Key: "ce_type", Value: []byte("OrderCreated")}, {Key: "x", Value: []byte("y")}, {Key: "bin", Value: []byte{0xff}}}
	for range 2 {
		require.NoError(t, e.processor().Process(t.Context(), []inbox.Delivery{poison, delivery(8, "a")}))
	}
	require.Equal(t, 1, e.count(t, `select count(*) from effect`))

	var got outbox.Message
	require.NoError(t, e.pool.QueryRow(t.Context(), `select event_id, topic, key, type, payload, headers from outbox where topic = 't.dlq'`).
		Scan(&got.EventID, &got.Topic, &got.Key, &got.Type, &got.Payload, &got.Headers))
	require.Equal(t, outbox.Message{EventID: id, Topic: "t.dlq", Key: "k", Type: "OrderCreated", Payload: []byte("garbage"), Headers: map[string]string{
		"x":                                  "y",
		inbox.HeaderDeadLetterHeadersLeftOut: "1",
		inbox.HeaderDeadLetterReason:         "not JSON\uFFFD",
		inbox.HeaderDeadLetterConsumer:       "test",
		inbox.HeaderDeadLetterTopic:          "t",
		inbox.HeaderDeadLetterPartition:      "2",
		inbox.HeaderDeadLetterOffset:         "7",
	}}, got)
}

// A broken copy of a message claims the id of the real one. Were it recorded under that id, the
// real one would count as a duplicate and lost.
func TestABrokenCopyDoesNotHideTheRealMessage(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	broken := delivery(1, "garbage")
	broken.Headers = []inbox.Header{{Key: "ce_id", Value: []byte(uuid.NewSHA1(uuid.NameSpaceOID, []byte("a")).String())}}
	require.NoError(t, e.processor().Process(t.Context(), []inbox.Delivery{broken}))
	require.NoError(t, e.processor().Process(t.Context(), []inbox.Delivery{delivery(2, "a")}))
	require.Equal(t, 1, e.count(t, `select count(*) from effect`))
}

func TestASkippedMessageIsNotRecordedSoThatALaterVersionCanHandleIt(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	p := e.processor()
	var outcome inbox.Outcome
	p.Observe = func(o inbox.Outcome) { outcome = o }
	require.NoError(t, p.Process(t.Context(), []inbox.Delivery{delivery(1, "unknown")}))
	require.Equal(t, inbox.Outcome{Skipped: 1}, outcome)
	require.Zero(t, e.count(t, `select count(*) from inbox`))
}

func TestARejectedMessageIsSetAsideOnce(t *testing.T) {
	t.Parallel()
	e := newEffects(t, pgtest.New(t, migrations.Outbox).Pool)
	for range 2 {
		require.NoError(t, e.processor().Reject(t.Context(), delivery(1, "a"), errors.New("violates a check")))
	}
	require.Equal(t, 1, e.count(t, `select count(*) from outbox where topic = 't.dlq'`))
	require.Zero(t, e.count(t, `select count(*) from effect`))
}

func TestDelivery_PositionIDTellsMessagesApartAndIsStable(t *testing.T) {
	t.Parallel()
	base := inbox.Delivery{Topic: "t", Partition: 1, Offset: 72, Key: []byte("k"), Value: []byte("v"), Time: time.UnixMilli(1000)}
	seen := map[uuid.UUID]string{base.PositionID(): "the same"}
	for what, change := range map[string]func(*inbox.Delivery){
		"topic": func(d *inbox.Delivery) { d.Topic = "u" }, "partition": func(d *inbox.Delivery) { d.Partition = 2 },
		"offset": func(d *inbox.Delivery) { d.Offset = 73 }, "key": func(d *inbox.Delivery) { d.Key = []byte("kv") },
		"value": func(d *inbox.Delivery) { d.Value = nil }, "time": func(d *inbox.Delivery) { d.Time = time.UnixMilli(1001) },
	} {
		d := base
		change(&d)
		require.NotContains(t, seen, d.PositionID(), "another %s", what)
		seen[d.PositionID()] = what
	}
	again := base
	again.Headers, again.Resume, again.Time = []inbox.Header{{Key: "a"}}, 7, base.Time.UTC()
	require.Equal(t, base.PositionID(), again.PositionID())
	require.Equal(t, uuid.Version(8), again.PositionID().Version())
}
