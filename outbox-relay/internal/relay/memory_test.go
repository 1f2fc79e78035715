package relay_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/outbox-relay/internal/relay"
)

// Rows come one by one while the broker takes none, so that each is read alone: what is kept for
// each is of its own size.
func TestMemory_ATrickleDuringAnOutageCostsLittle(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.broker.FailProduce(topic, kerr.NotEnoughReplicas)
	r := s.relay(t, relay.Options{})
	const n = 500
	for i := 1; i <= n; i++ {
		s.insert(t, "k1", fmt.Sprint(i))
	}
	await(t, func() bool { return r.gauge(t, "in_flight_rows") == n }, "all rows to be in flight")
	await(t, func() bool { return r.gauge(t, "in_flight_bytes") > 0 }, "their memory to be known")
	require.Less(t, r.gauge(t, "in_flight_bytes"), float64(n*4096))
	fault.Remove()
	requireCounted(t, s.values(t, n), 1, n)
	await(t, func() bool { return r.gauge(t, "in_flight_bytes") == 0 }, "all memory to be given back")
}

// A row that no broker would be sent is stuck by its length: it is not read, now or at any of its
// attempts.
func TestMemory_ARowBeyondMessageMaxBytesIsNotRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ($1, 'huge', 'T', convert_to(repeat('x', 50 * 1024 * 1024), 'utf8'))`, topic)
	s.exec(t, `insert into outbox (topic, key, type, payload, headers)
		values ($1, 'wide', 'T', '{}', jsonb_build_object('h', repeat('x', 2 * 1024 * 1024)))`, topic)
	s.insertMany(t, 2, 3)
	s.relay(t, relay.Options{})
	s.drained(t)
	requireCounted(t, s.values(t, 6), 2, 3)
	for attempts := int64(2); attempts <= 3; attempts++ {
		s.exec(t, `update outbox_stuck set next_attempt_at = now()`)
		await(t, func() bool { return one[int64](t, s, `select min(attempts) from outbox_stuck`) >= attempts }, "attempt %d", attempts)
	}
	require.EqualValues(t, 2, one[int64](t, s, `select count(*) from outbox_stuck where error like 'the row has % bytes, and message.max.bytes is 1000000'`))
}

// Long payloads and wide headers are read in pieces of a few MiB, whatever the number of rows, and
// in order.
func TestMemory_LongRowsAreLoadedInPieces(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `insert into outbox (topic, key, type, payload, headers)
		select $1, 'k' || k, 'Counted', convert_to(i::text, 'utf8'),
		       case when k = 1 then jsonb_build_object('h', repeat('x', 200000)) else '{}' end
		  from generate_series(1, 60) i, generate_series(1, 3) k order by i, k`, topic)
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select $1, 'long', 'Counted', convert_to(i || repeat(' ', 20000), 'utf8') from generate_series(1, 1000) i`, topic)
	s.relay(t, relay.Options{InFlightBytes: 6 << 20})
	values := s.values(t, 1180)
	require.Len(t, values["long"], 1000)
	for i, value := range values["long"] {
		var n int
		_, err := fmt.Sscan(value, &n)
		require.NoError(t, err)
		require.Equal(t, i+1, n)
	}
	delete(values, "long")
	requireCounted(t, values, 3, 60)
	s.drained(t)
}

// A row that somebody deletes while it waits to be loaded holds nobody up.
func TestMemory_ARowThatIsDeletedBeforeItIsLoadedIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.refusePoison(kerr.InvalidRecord)
	s.exec(t, `insert into outbox (topic, key, type, payload) values ($1, 'k', 'T', convert_to('poison' || repeat(' ', 20000), 'utf8'))`, topic)
	s.insert(t, "k", "2")
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 2 }, "the row to be stuck")
	s.exec(t, `delete from outbox where id = 1`)
	s.exec(t, `update outbox_stuck set next_attempt_at = now() where not parked`)
	require.Equal(t, []string{"2"}, s.values(t, 1)["k"])
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	fault.Remove()
}
