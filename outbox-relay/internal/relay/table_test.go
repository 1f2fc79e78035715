package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// What could never be published is refused in the transaction that writes it, with the reason.
func TestOutbox_RefusesWhatCouldNeverBePublished(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, type, payload, headers) values ('A-z.0_9', 'T', '', '{"a": "b", "c": ""}')`)
	s.exec(t, `insert into outbox (topic, type, payload) values ($1, 'T', '')`, strings.Repeat("x", 249))
	s.exec(t, `insert into outbox (topic, key, type, payload) values ('t', $1, 'T', '')`, strings.Repeat("x", 2048))
	for columns, why := range map[string]string{
		`(topic, type, payload) values (repeat('€', 171), 'T', '')`:                                     "topic",
		`(topic, type, payload) values ('', 'T', '')`:                                                   "topic",
		`(topic, type, payload) values ('..', 'T', '')`:                                                 "topic",
		`(topic, type, payload) values ('a b', 'T', '')`:                                                "topic",
		`(topic, type, payload) values (E'a\n', 'T', '')`:                                               "topic",
		`(topic, type, payload) values (repeat('x', 250), 'T', '')`:                                     "character varying(249)",
		`(topic, type, payload) values ('t', '', '')`:                                                   "type",
		`(topic, type, payload, headers) values ('t', 'T', '', '[]')`:                                   "headers",
		`(topic, type, payload, headers) values ('t', 'T', '', '{"a": 1}')`:                             "headers",
		`(topic, type, payload, headers) values ('t', 'T', '', '{"a": ["b"]}')`:                         "headers",
		`(topic, type, payload, headers) values ('t', 'T', '', '{"a": null}')`:                          "headers",
		`(topic, type, payload, created_at) values ('t', 'T', '', 'infinity')`:                          "created_at",
		`(topic, type, payload, created_at) values ('t', 'T', '', '-infinity')`:                         "created_at",
		`(topic, type, payload, created_at) values ('t', 'T', '', '0044-03-15 BC')`:                     "created_at",
		`(topic, type, payload, created_at) values ('t', 'T', '', '20000-01-01')`:                       "created_at",
		`(id, topic, type, payload) overriding system value values (0, 't', 'T', '')`:                   "id of an outbox row",
		`(id, topic, type, payload) overriding system value values (-5, 't', 'T', '')`:                  "id of an outbox row",
		`(id, topic, type, payload) overriding system value values (9223372036854775807, 't', 'T', '')`: "id of an outbox row",
		`(topic, key, type, payload) values ('t', repeat('x', 2049), 'T', '')`:                          "key",
	} {
		_, err := s.db.Pool.Exec(t.Context(), `insert into outbox `+columns)
		require.ErrorContains(t, err, why, columns)
	}
}

// The highest id that there can be is published, once, and the table goes on below it.
func TestRelay_TheHighestIDIsPublishedOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{})
	s.insertAt(t, 9223372036854775806, "high", "1")
	s.distinct(t, 1)
	s.insertMany(t, 1, 3)
	s.distinct(t, 4)
	outlast(t)
	require.Len(t, s.broker.All(t, topic), 4)
}

// The first row of a time is found by looks at the primary key, also where ids are missing and
// where rows went away.
func TestOutboxIDAt_IsTheFirstRowOfATime(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	at := func(moment any) int64 { return one[int64](t, s, `select outbox_id_at($1)`, moment) }
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	require.EqualValues(t, 1, at(start), "an empty table")
	s.exec(t, `insert into outbox (topic, type, payload, created_at) select 'orders.v1', 'T', '', $1::timestamptz + i * interval '1 second' from generate_series(1, 1000) i`, start)
	s.exec(t, `delete from outbox where id <= 100 or id between 300 and 700 or id % 7 = 0`)
	s.insertAt(t, 1_000_000_000_000, "k", "1")
	for second := range 1010 {
		moment := start.Add(time.Duration(second) * time.Second)
		want := one[int64](t, s, `select min(id) from outbox where created_at >= $1`, moment)
		got := at(moment)
		require.Equal(t, want, one[int64](t, s, `select min(id) from outbox where id >= $1`, got), "second %d: %d", second, got)
	}
	require.EqualValues(t, 1_000_000_000_001, at(time.Now().Add(time.Hour)), "behind the last")
}

func TestReplay_ByTimeSendsTheRowsOfThatTime(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload, created_at)
		select 'orders.v1', 'k1', 'T', convert_to(i::text, 'utf8'), now() - (1001 - i) * interval '1 minute' from generate_series(1, 1000) i`)
	s.relay(t, relay.Options{})
	s.drained(t)
	since, until := time.Now().Add(-100*time.Minute-30*time.Second), time.Now().Add(-90*time.Minute-30*time.Second)
	plan, err := s.ops(t).PlanReplay(t.Context(), source.Selection{Since: &since, Until: &until}, nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, 10, plan.Rows)
}

// What people are shown of a row is bounded, however large the row.
func TestRow_ShowsTheBeginningOfALargePayload(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, type, payload, headers) values ('orders.v1', 'T', convert_to(repeat('ü', 1000000), 'utf8'), jsonb_build_object('h', repeat('x', 1000000)))`)
	row, err := s.ops(t).Row(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 2_000_000, row.PayloadBytes)
	require.Len(t, row.Payload, 65536)
	require.Less(t, len(row.Headers), 66_000)
}
