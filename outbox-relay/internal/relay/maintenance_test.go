package relay_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/devstack/kafkatest"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

func (s *stage) ops(t *testing.T) *ops.Database {
	t.Helper()
	d, err := ops.Open("orders", s.db.URL)
	require.NoError(t, err)
	d.Patience = patience
	t.Cleanup(d.Close)
	return d
}

var operator = ops.By{Actor: "ada", Reason: "test"}

// Retention removes published rows, and no others: not one that is stuck or parked, not one that
// has not been published, whatever its age.
func TestRetentionRemovesPublishedRowsOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 5, 100)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ('missing.v1', 'stuck', 'T', '1'), ('missing.v1', 'stuck', 'T', '2')`)
	held, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), insertSQL, topic, "late", []byte("1"))
	require.NoError(t, err)
	s.relay(t, relay.Options{Retention: time.Millisecond, Expire: 10 * time.Millisecond})
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 2 }, "old rows to go")
	require.EqualValues(t, 2, one[int64](t, s, `select count(*) from outbox where key = 'stuck'`))
	require.NoError(t, held.Commit(t.Context()))
	require.Equal(t, []string{"1"}, s.values(t, 501)["late"])
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 2 }, "the late row to go once it is published")
}

func TestRowsYoungerThanTheRetentionStay(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 10)
	s.exec(t, `update outbox set created_at = now() - interval '2 hours' where id <= 5`)
	s.relay(t, relay.Options{Retention: time.Hour, Expire: 10 * time.Millisecond})
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 5 }, "old rows to go")
	s.drained(t)
	require.EqualValues(t, 6, one[int64](t, s, `select min(id) from outbox`))
}

func TestAReplaySendsTheSelectedRowsAgainInOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 3, 100)
	s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
	s.drained(t)
	before := s.broker.All(t, topic)
	s.broker.CreateTopics(t, 3, "copy.v1")
	d := s.ops(t)
	selection := source.Selection{Key: new("k2"), FromID: new(int64(31))}
	plan, err := d.PlanReplay(t.Context(), selection, new("copy.v1"), []*ops.Database{d})
	require.NoError(t, err)
	require.EqualValues(t, 90, plan.Rows)
	job, err := d.StartReplay(t.Context(), operator, selection, new("copy.v1"), 1000)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = d.Job(t.Context(), job.ID)
		return err == nil && job.State == "done"
	}, "the replay to be done")
	require.EqualValues(t, 90, job.Sent)
	copies := s.broker.All(t, "copy.v1")
	require.Len(t, copies, 90)
	require.Equal(t, firsts(before)["k2"][10:], firsts(copies)["k2"])
	require.Equal(t, before[0].Headers["ce_source"], copies[0].Headers["ce_source"])
	require.Len(t, s.broker.All(t, topic), 300, "nothing went to the old topic")
}

// The cursor moves all the time while there are rows, and each move shows that the lead is still
// held; replays have to be looked for all the same.
func TestReplay_StartsWhileRowsKeepComing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 10)
	s.relay(t, relay.Options{})
	s.drained(t)
	d := s.ops(t)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		every := time.NewTicker(5 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				s.insert(t, "k", "more")
			case <-stop:
				return
			}
		}
	})
	defer writer.Wait()
	defer close(stop)
	await(t, func() bool { return one[int64](t, s, "select count(*) from outbox") > 100 }, "rows to keep coming")

	job, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1)), ToID: new(int64(10))}, nil, 1000)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = d.Job(t.Context(), job.ID)
		return err == nil && job.State == "done"
	}, "the replay to be done")
	require.EqualValues(t, 10, job.Sent)
}

func TestAReplayKeepsItsRateAndCanBeCancelled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 500)
	s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
	s.drained(t)
	d := s.ops(t)
	began := time.Now()
	job, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 100)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = d.Job(t.Context(), job.ID)
		return err == nil && job.Sent >= 50
	}, "some progress")
	require.LessOrEqual(t, float64(job.Sent-20), time.Since(began).Seconds()*100)
	job, err = d.CancelReplay(t.Context(), operator, job.ID)
	require.NoError(t, err)
	require.Equal(t, "cancelled", job.State)
	_, err = d.CancelReplay(t.Context(), operator, job.ID)
	require.ErrorIs(t, err, ops.ErrConflict)
	require.Less(t, len(s.broker.All(t, topic)), 1000)
}

// A broker that is unavailable keeps a page waiting; the operator who cancels the job does not wait
// with it.
func TestReplay_IsCancelledWhileTheBrokerIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 50)
	s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
	s.drained(t)
	s.broker.Stop()
	d := s.ops(t)
	state := func(job ops.Job) string {
		return one[string](t, s, `select state from outbox_replay where id = $1`, job.ID)
	}
	first, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 1000)
	require.NoError(t, err)
	second, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 1000)
	require.NoError(t, err)
	await(t, func() bool { return state(first) == "running" }, "the first replay to run")
	outlast(t)
	require.Equal(t, "waiting", state(second))
	_, err = d.CancelReplay(t.Context(), operator, first.ID)
	require.NoError(t, err)
	await(t, func() bool { return state(second) == "running" }, "the second replay to have its turn")
	s.broker.Start(t)
	await(t, func() bool { return state(second) == "done" }, "the second replay to be done")
}

// What retention took away under a replay is missing in what it says, not passed over.
func TestReplay_SaysWhatWasGone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 10)
	s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
	s.drained(t)
	d := s.ops(t)
	_, err := d.Pause(t.Context(), operator)
	require.NoError(t, err)
	job, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 1000)
	require.NoError(t, err)
	s.exec(t, `delete from outbox where id <= 3`)
	_, err = d.Resume(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = d.Job(t.Context(), job.ID)
		return err == nil && job.State == "done"
	}, "the replay to be done")
	require.EqualValues(t, 7, job.Sent)
	require.Contains(t, job.Error, "3 of 10 rows were gone")
}

func TestAReplayThatTheBrokerRefusesFailsAndHarmsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insert(t, "k1", "poison")
	s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
	s.drained(t)
	s.refusePoison(kerr.InvalidRecord)
	d := s.ops(t)
	job, err := d.StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 100)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = d.Job(t.Context(), job.ID)
		return err == nil && job.State == "failed"
	}, "the replay to fail")
	require.Contains(t, job.Error, "row 1")
	s.insert(t, "k1", "2")
	require.Equal(t, []string{"poison", "2"}, s.values(t, 2)["k1"])
	require.Zero(t, s.stuck(t))
}

// Rows that were written while a clock was ahead are published, are kept until their time has come,
// and do not keep others from going.
func TestRowsFromAClockThatJumpedDoNotStopRetention(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 2, 50)
	s.exec(t, `update outbox set created_at = now() + interval '1 year' where id <= 10`)
	s.exec(t, `update outbox set created_at = '1970-01-01' where id > 10 and id <= 20`)
	s.relay(t, relay.Options{Retention: time.Millisecond, Expire: 10 * time.Millisecond})
	requireCounted(t, s.values(t, 100), 2, 50)
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 10 }, "old rows to go")
	require.EqualValues(t, 10, one[int64](t, s, `select max(id) from outbox`))
}

const rememberSQL = `insert into inbox (event_id, consumer, topic, "partition", "offset", handled_at)
	select gen_random_uuid(), 'inventory', 'orders.v1', 0, i, now() - $2::interval from generate_series(1, $1::int) i`

func TestMessagesHandledLongAgoAreForgottenAndNoOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 3 { // old and young rows share blocks, and there are more blocks than one step takes
		s.exec(t, rememberSQL, 10_000, 2*time.Hour)
		s.exec(t, rememberSQL, 10, 59*time.Minute)
	}
	require.Greater(t, one[int64](t, s, `select pg_relation_size('inbox') / current_setting('block_size')::bigint`), int64(256))
	s.relay(t, relay.Options{InboxRetention: time.Hour, Expire: 10 * time.Millisecond, Fallback: 10 * time.Millisecond})
	await(t, func() bool { return one[int64](t, s, `select count(*) from inbox`) == 30 }, "old rows to go")
	require.Zero(t, one[int64](t, s, `select count(*) from inbox where handled_at < now() - interval '1 hour'`))
}

// A replay sends a row again under its old event id. As long as the outbox has the row the inbox
// has the id, so that the consumer ignores it.
func TestAMessageThatAReplayBringsAgainIsStillKnownAsHandled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insert(t, "k1", "1")
	s.exec(t, rememberSQL, 1, 3*time.Hour)
	s.exec(t, `update outbox set created_at = now() - interval '50 minutes'`)
	s.exec(t, `insert into inbox (event_id, consumer, topic, "partition", "offset", handled_at)
		select event_id, 'inventory', topic, 0, 0, created_at from outbox`)
	s.relay(t, relay.Options{
		Retention: time.Hour, InboxRetention: time.Hour, Expire: 10 * time.Millisecond, Fallback: 10 * time.Millisecond,
	})
	await(t, func() bool { return one[int64](t, s, `select count(*) from inbox`) == 1 }, "the old row to go")
	s.drained(t)
	_, err := s.ops(t).StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, nil, 1000)
	require.NoError(t, err)
	var sent []kafkatest.Record
	await(t, func() bool { sent = s.broker.All(t, topic); return len(sent) == 2 }, "the replay")
	require.Equal(t, 1, eventIDs(sent))
	require.True(t, one[bool](t, s, `select exists (select from inbox where event_id = $1 and consumer = 'inventory')`, sent[1].Headers["ce_id"]))
}

func TestADatabaseWithoutAnInboxHasItsOutboxKeptInOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `drop table inbox`)
	s.insertMany(t, 1, 10)
	s.relay(t, relay.Options{
		Retention: time.Millisecond, InboxRetention: time.Hour, Expire: 10 * time.Millisecond, Fallback: 10 * time.Millisecond,
	})
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 0 }, "old rows to go")
	s.insert(t, "k1", "11")
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 0 }, "rows to go again, after a look for an inbox")
}
