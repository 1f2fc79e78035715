package relay_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// insertAt adds a row with an id that is set by hand.
func (s *stage) insertAt(t *testing.T, id int64, key, value string) {
	t.Helper()
	s.exec(t, `insert into outbox (id, topic, key, type, payload) overriding system value values ($1, $2, $3, 'Counted', $4)`, id, topic, key, []byte(value))
}

// writersMayPrepare has writers behave as on a server where transactions can be prepared.
func (s *stage) writersMayPrepare(t *testing.T) {
	t.Helper()
	s.exec(t, `do $$ begin execute format('alter database %I set waybill.notify = %L', current_database(), 'auto'); end $$`)
	s.db.Pool.Reset()
}

// A row with an id far above the sequence says nothing about the ids between: those are still to
// come.
func TestRelay_ARowWithAHighIDOfItsOwnLosesNoOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{Sweep: 10 * time.Millisecond})
	s.insert(t, "k1", "1")
	s.insertAt(t, 1000, "other", "1")
	s.distinct(t, 2)
	outlast(t)
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_closed`), "ids that were never handed out are not given up")
	for i := 2; i <= 10; i++ {
		s.insert(t, "k1", fmt.Sprint(i))
	}
	requireCounted(t, map[string][]string{"k1": s.values(t, 11)["k1"]}, 1, 10)
	require.Equal(t, relay.Leading, r.Status().State)
	await(t, func() bool {
		return one[int64](t, s, `select count(*) from outbox_status where status = 'published'`) == 11
	}, "the cursor to have all")
	d := s.ops(t)
	overview, err := d.Overview(t.Context())
	require.NoError(t, err)
	require.Zero(t, overview.Pending)

	r.stop()
	r = s.relay(t, relay.Options{Retention: time.Millisecond, Expire: 10 * time.Millisecond})
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox`) == 1 }, "old rows to go")
	require.EqualValues(t, 1000, one[int64](t, s, `select min(id) from outbox`), "the row keeps the sequence from handing out its id")
	require.NoError(t, r.Status().Err)
	// The way up for a sequence that is behind.
	s.exec(t, `select setval('outbox_id_seq', 1000)`)
	s.insert(t, "k1", "11")
	s.distinct(t, 12)
	s.drained(t)
}

// What was given up is looked for however long ago that was: the relay may have been down for all
// of that time.
func TestRelay_ARowThatComesLongAfterItsIDWasGivenUpIsPublished(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `select nextval('outbox_id_seq')`)
	s.insertMany(t, 1, 3)
	r := s.relay(t, relay.Options{})
	s.drained(t)
	r.stop()
	s.exec(t, `update outbox_closed set closed_at = now() - interval '1 year'`)
	s.insertAt(t, 1, "late", "1")
	require.Equal(t, "late", one[string](t, s, `select status from outbox_status where id = 1`))
	s.relay(t, relay.Options{Sweep: 1, Retention: time.Millisecond, Expire: 10 * time.Millisecond, Fallback: 10 * time.Millisecond})
	require.Equal(t, []string{"1"}, s.values(t, 4)["late"])
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox_closed `) == 0 }, "the entry to go")
}

// A look takes its part of a long memory, and goes round all of it.
func TestRelay_ALongMemoryOfGivenUpIDsIsLookedThrough(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `select setval('outbox_id_seq', 40000)`)
	s.exec(t, `insert into outbox_closed (ids, closed_at) select int8multirange(int8range(i, i + 1)), now() - interval '1 day' from generate_series(1, 12000) i`)
	s.exec(t, `update outbox_cursor set published = '{[1,40001)}'`)
	s.insertAt(t, 11_999, "late", "1")
	s.relay(t, relay.Options{Sweep: 1, Fallback: 10 * time.Millisecond})
	require.Equal(t, []string{"1"}, s.values(t, 1)["late"])
	await(t, func() bool {
		return one[int64](t, s, `select count(*) from outbox_closed where ids @> 11999::bigint`) == 0
	}, "it to count as published")
}

func TestRelay_ForgetsWhatWasGivenUpOnlyWhenNoRowIsThere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox_closed (ids, closed_at) values ('{[1,3)}', now() - interval '8 days'), ('{[5,6)}', now() - interval '8 days'), ('{[7,8)}', now())`)
	s.insertAt(t, 2, "late", "1")
	session, err := source.Connect(t.Context(), "orders", s.db.URL)
	require.NoError(t, err)
	defer session.Close(t.Context())
	require.NoError(t, session.ForgetClosed(t.Context(), time.Now().Add(-7*24*time.Hour)))
	require.Equal(t, "{{[1,3)},{[7,8)}}", strings.ReplaceAll(one[string](t, s, `select array_agg(ids order by id)::text from outbox_closed`), `"`, ""))
}

// truncate empties the table as somebody does who knows better than the trigger.
func (s *stage) truncate(t *testing.T) {
	t.Helper()
	s.exec(t, `alter table outbox disable trigger outbox_refuse_truncate`)
	s.exec(t, `truncate outbox restart identity`)
}

// remedy runs what an error tells to run: the statement after the last "run:" that follows the
// words.
func (s *stage) remedy(t *testing.T, err error, words string) {
	t.Helper()
	found := regexp.MustCompile(regexp.QuoteMeta(words) + `[^:]*(?:run|Run): (.*?)\. `).FindStringSubmatch(err.Error())
	require.NotNil(t, found, "%q has no advice for %q", err, words)
	for statement := range strings.SplitSeq(found[1], ";") {
		s.exec(t, statement)
	}
}

func TestRelay_TruncateIsRefusedWithTheWayOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, err := s.db.Pool.Exec(t.Context(), `truncate outbox restart identity`)
	require.ErrorContains(t, err, "truncate of outbox is refused")
}

// A truncated table hands out ids that the cursor has as published. That has to be an error: the
// rows would never be sent, without a word. Whether the new ids have overtaken the cursor must not
// matter.
func TestRelay_ATableTruncatedUnderItsCursorIsAnErrorWithInstructions(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"behind the cursor": 1, "level with it": 10, "ahead of it": 500} {
		for advice, published := range map[string]int{"publish what the table holds": 10 + rows + 1, "has been sent": 10 + 1} {
			t.Run(name+", "+advice, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				r := s.relay(t, relay.Options{})
				s.insertMany(t, 1, 10)
				s.drained(t)
				r.stop()
				s.truncate(t)
				s.insertMany(t, 1, rows)
				r = s.relay(t, relay.Options{})
				await(t, func() bool { return r.Status().Err != nil }, "an error")
				require.ErrorContains(t, r.Status().Err, "truncated")
				s.remedy(t, r.Status().Err, advice)
				if name == "ahead of it" && advice == "has been sent" {
					published += rows - 10 // those above the cursor have never been
				}
				s.insert(t, "k1", "next")
				s.distinct(t, published)
				s.drained(t)
				require.Equal(t, relay.Leading, r.Status().State)
			})
		}
	}
}

func TestRelay_ATableTruncatedWhileItRunsIsFoundToo(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"empty": 0, "overtaken": 50} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			r := s.relay(t, relay.Options{Fallback: 20 * time.Millisecond})
			s.insertMany(t, 1, 10)
			s.drained(t)
			await(t, func() bool { return one[bool](t, s, `select coalesce(witness_id = 10, false) from outbox_cursor`) }, "a row to know the table by")
			s.exec(t, `alter table outbox disable trigger outbox_refuse_truncate`)
			s.exec(t, `do $$ begin
				truncate outbox restart identity;
				insert into outbox (topic, type, payload) select 'orders.v1', 'T', '' from generate_series(1, `+fmt.Sprint(rows)+`);
			end $$`)
			await(t, func() bool { return r.Status().Err != nil }, "an error")
			require.ErrorContains(t, r.Status().Err, "truncated")
		})
	}
}

// A DBA's "optimisation" gives each session ids in advance, so that their order says nothing any
// more.
func TestRelay_RefusesASequenceWithACache(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `alter sequence outbox_id_seq cache 20`)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.Status().Err != nil }, "an error")
	require.ErrorContains(t, r.Status().Err, "cache 20")
	s.remedy(t, r.Status().Err, "")
	s.insertMany(t, 1, 3)
	s.drained(t)
}

// The row of a stuck entry was deleted by hand. Its key must go on.
func TestRelay_AStuckRowDeletedByHandLetsItsKeyGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ('missing.v1', 'k1', 'T', '0')`)
	s.insertMany(t, 1, 3)
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) > 0 }, "the row to be stuck")
	s.exec(t, `delete from outbox where id = 1`)
	requireCounted(t, s.values(t, 3), 1, 3)
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	s.insert(t, "k1", "4")
	requireCounted(t, s.values(t, 4), 1, 4)
}

// Monitoring reads the sequence in a transaction that it leaves open, by the function that takes
// nextval's own lock, or as pg_dump does. Neither can fill a gap.
func TestRelay_LookingAtTheSequenceHoldsNoGap(t *testing.T) {
	t.Parallel()
	for _, look := range []string{`select pg_sequence_last_value('outbox_id_seq')`, `select last_value from outbox_id_seq`, `select last_value from pg_sequences`} {
		s := newStage(t)
		s.exec(t, `select nextval('outbox_id_seq')`)
		s.insertMany(t, 1, 3)
		tx, err := s.db.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), look)
		require.NoError(t, err)
		s.relay(t, relay.Options{})
		s.drained(t)
		require.NoError(t, tx.Rollback(t.Context()))
	}
}

// A transaction somewhere on the server that has nothing to do with the outbox holds nothing.
func TestRelay_AnUnrelatedTransactionHoldsNoGap(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `select pg_current_xact_id()`)
	require.NoError(t, err)
	s.exec(t, `select nextval('outbox_id_seq')`)
	s.insertMany(t, 1, 3)
	s.relay(t, relay.Options{})
	s.drained(t)
	require.NoError(t, tx.Rollback(t.Context()))
}
