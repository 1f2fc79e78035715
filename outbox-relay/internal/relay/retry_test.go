package relay_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

func (s *stage) stuck(t *testing.T) int64 {
	t.Helper()
	return one[int64](t, s, `select count(*) from outbox_stuck where discarded_at is null`)
}

// Rows of five keys keep coming while one row of each is refused, thousands park behind it, and the
// broker changes its mind: every key arrives complete and in order.
func TestAKeyIsCompleteAndInOrderOnceItsStuckRowIsAccepted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.refusePoison(kerr.InvalidRecord)
	s.relay(t, relay.Options{BatchRows: 100, InFlightRows: 1000})
	const keys, n = 5, 600
	insert := func(from, to int) {
		s.exec(t, `insert into outbox (topic, key, type, payload, headers)
			select 'orders.v1', 'k' || k, 'Counted', convert_to(i::text, 'utf8'), case when i = 20 then '{"h": "poison"}' else '{}' end::jsonb
			  from generate_series($2::int, $3::int) i, generate_series(1, $1::int) k order by i, k`, keys, from, to)
	}
	insert(1, 400)
	await(t, func() bool { return s.stuck(t) == keys*(400-19) }, "all keys to be stuck")
	fault.Remove()
	for i := 401; i <= n; i += 10 {
		insert(i, i+9)
	}
	requireCounted(t, s.values(t, keys*n), keys, n)
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	s.drained(t)
	s.insertMany(t, 1, 1)
	s.distinct(t, keys*n+1) // the keys flow freely again
	require.Zero(t, s.stuck(t))
}

func TestStuckRowsGoOutWhenTheirTopicIsCreated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select 'missing.v1', 'k' || i % 10, 'T', convert_to(i::text, 'utf8') from generate_series(1, 1000) i`)
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 1000 }, "all rows to be stuck or parked")
	s.broker.CreateTopics(t, 3, "missing.v1")
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	for key, values := range firsts(s.broker.All(t, "missing.v1")) {
		require.Len(t, values, 100, "key %s", key)
		for i, value := range values[1:] {
			var before, after int
			_, _ = fmt.Sscan(values[i], &before)
			_, _ = fmt.Sscan(value, &after)
			require.Less(t, before, after, "order of key %s", key)
		}
	}
}

func TestARefusedRowIsTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insert(t, "k1", "poison")
	s.refusePoison(kerr.PolicyViolation)
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 1 }, "the row to be stuck")
	for attempts := int64(2); attempts <= 3; attempts++ {
		s.exec(t, `update outbox_stuck set next_attempt_at = now()`)
		await(t, func() bool {
			return one[int64](t, s, `select attempts from outbox_stuck`) >= attempts
		}, "attempt %d", attempts)
	}
	require.Greater(t, one[float64](t, s, `select extract(epoch from next_attempt_at - last_attempt_at)::float8 from outbox_stuck`), 3.0)
	require.Equal(t, "POLICY_VIOLATION", one[string](t, s, `select error_code from outbox_stuck`))
}

// What no rule can know of: an id that was drawn in one transaction and is inserted in another,
// long after it was given up. The row is published, and said to be late.
func TestARowThatComesAfterItsIDWasGivenUpIsPublishedOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `select nextval('outbox_id_seq')`)
	s.insertMany(t, 1, 3)
	s.relay(t, relay.Options{Sweep: 1})
	s.drained(t)
	require.Equal(t, "{[1,2)}", one[string](t, s, `select ids::text from outbox_closed`))
	s.exec(t, `insert into outbox (id, topic, key, type, payload) overriding system value values (1, 'orders.v1', 'late', 'T', '1')`)
	require.Equal(t, []string{"1"}, s.values(t, 4)["late"])
	await(t, func() bool { return one[int64](t, s, `select count(*) from outbox_closed`) == 0 }, "the id to be forgotten")
	require.Len(t, s.broker.All(t, topic), 4)
}

// A relay that dies between publishing a stuck row and its followers leaves followers without a row
// to wait for.
func TestParkedRowsWithoutAStuckOneAreReleasedByTheNextLeader(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 2, 50)
	s.exec(t, `insert into outbox_stuck (outbox_id, key, topic, parked) select id, key, topic, true from outbox where id > 20`)
	s.exec(t, `update outbox_cursor set published = '{[21,101)}'`)
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	require.Len(t, s.distinct(t, 100), 100)
}

// The operator discards a row while its attempt is under way, which ends in another refusal: what
// waits for the row goes out now, and not when an attempt would have been due.
func TestADiscardDuringAnAttemptHolds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.insertMany(t, 1, 3)
	session, err := source.Connect(t.Context(), "orders", s.db.URL)
	require.NoError(t, err)
	leads, err := session.TryLead(t.Context())
	require.NoError(t, err)
	require.True(t, leads)
	_, err = session.Begin(t.Context(), t.Name())
	require.NoError(t, err)
	refused := source.Stuck{ID: 1, Key: new("k1"), Topic: topic, Code: "INVALID_RECORD", Error: "no"}
	step := source.Step{Stuck: []source.Stuck{refused, {ID: 2, Key: refused.Key, Topic: topic, Parked: true}}}
	for id := int64(1); id <= 3; id++ {
		step.Done.AddID(id)
	}
	step.Stuck = append(step.Stuck, source.Stuck{ID: 3, Key: refused.Key, Topic: topic, Parked: true})
	_, err = session.Advance(t.Context(), &step)
	require.NoError(t, err)

	d := s.ops(t)
	d.Patience = 1
	_, err = d.Discard(t.Context(), operator, 1)
	require.NoError(t, err)
	_, err = session.Advance(t.Context(), &source.Step{Stuck: []source.Stuck{refused}})
	require.NoError(t, err)
	require.True(t, one[bool](t, s, `select next_attempt_at <= now() from outbox_stuck where outbox_id = 1`))
	session.Close(t.Context())

	s.relay(t, relay.Options{})
	require.Equal(t, []string{"2", "3"}, s.values(t, 2)["k1"])
}
