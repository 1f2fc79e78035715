package relay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/broker"
	"waybill.example/outbox-relay/internal/relay"
)

// interleave adds rows 1 to n of each of five keys, alternately to both topics.
func (s *stage) interleave(t *testing.T, other string, from, to int) {
	t.Helper()
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select t, 'k' || k, 'Counted', convert_to(i::text, 'utf8')
		  from generate_series($3::int, $4::int) i, generate_series(1, 5) k, unnest(array[$1, $2]) t order by i, k, t`, topic, other, from, to)
}

// The broker answers, and takes nothing for one of two topics, as where a partition has too few
// replicas. Its rows fill the window many times over. The other topic flows, the relay says what
// waits, and when the broker takes the rows again they all arrive, in order.
func TestATopicWhoseBrokerTakesNothingHaltsNoOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.CreateTopics(t, 3, "slow.v1")
	fault := s.broker.FailProduce("slow.v1", kerr.NotEnoughReplicas)
	r := s.relay(t, relay.Options{BatchRows: 100, InFlightRows: 800})
	s.interleave(t, "slow.v1", 1, 1000)
	requireCounted(t, s.values(t, 5000), 5, 1000)
	require.Empty(t, s.broker.All(t, "slow.v1"))
	await(t, func() bool { return len(r.Status().Waits) == 1 }, "the relay to say which topic waits")
	require.Contains(t, r.Status().Waits, "slow.v1")
	require.Greater(t, r.gauge(t, "oldest_in_flight_seconds"), 1.0)
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_stuck where not parked`), "no row is refused")

	s.interleave(t, "slow.v1", 1001, 1100)
	s.distinct(t, 5500)
	fault.Remove()
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be parked")
	s.drained(t)
	requireCounted(t, firsts(s.broker.All(t, "slow.v1")), 5, 1100)
	requireCounted(t, s.values(t, 5500), 5, 1100)
	await(t, func() bool { return len(r.Status().Waits) == 0 }, "the relay to say that nothing waits")
}

// The broker answers every question about itself, and takes no rows at all.
func TestAWriteOutageIsSeenThoughBrokersAnswer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.broker.FailProduce(topic, kerr.NotEnoughReplicas)
	r := s.relay(t, relay.Options{})
	s.insertMany(t, 3, 3)
	await(t, func() bool { return !r.Status().Waits[topic].IsZero() }, "the relay to say that rows wait")
	require.Greater(t, r.gauge(t, "oldest_in_flight_seconds"), 1.0)
	fault.Remove()
	requireCounted(t, s.values(t, 9), 3, 3)
	await(t, func() bool { return len(r.Status().Waits) == 0 }, "the relay to say that nothing waits")
	require.Zero(t, s.stuck(t))
}

// One bad row in a request of thousands, with a standby that would take the lead from a leader that
// is busy with nothing else. The row is found, the rest is published, and the lead stays where it
// is.
func TestABadRowInALargeRequestCostsNobodyTheLead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.CreateTopics(t, 1, "single.v1")
	s.refusePoison(kerr.InvalidRecord)
	const keys, n = 3, 1000
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select 'single.v1', 'k' || k, 'Counted', convert_to(i || case when i = 700 and k = 1 then 'poison' else '' end, 'utf8')
		  from generate_series(1, $2::int) i, generate_series(1, $1::int) k order by i, k`, keys, n)
	options := relay.Options{UnresponsiveAfter: frozenAfter, Fallback: 50 * time.Millisecond}
	s.relay(t, options)
	await(t, func() bool { return one[int64](t, s, `select epoch from outbox_cursor`) == 1 }, "a leader")
	s.relay(t, options)
	await(t, func() bool { return s.stuck(t) == 301 }, "the row to be stuck and its followers to be parked")
	s.drained(t)
	values := firsts(s.broker.All(t, "single.v1"))
	requireCounted(t, map[string][]string{"k1": values["k1"]}, 1, 699)
	requireCounted(t, map[string][]string{"k2": values["k2"], "k3": values["k3"]}, 2, n)
	require.EqualValues(t, 1, one[int64](t, s, `select epoch from outbox_cursor`))
}

// A broker may refuse rows for reasons that are in no list of ours.
func TestARowRefusedWithAnUnknownCodeIsStuckAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refusePoison(kerr.InvalidRequest)
	s.insertMany(t, 5, 20)
	s.insert(t, "bad", "poison")
	s.insert(t, "bad", "2")
	s.insertMany(t, 1, 1)
	s.relay(t, relay.Options{})
	s.drained(t)
	s.distinct(t, 101)
	require.Equal(t, "BROKER_ERROR_42", one[string](t, s, `select error_code from outbox_stuck where not parked`))
	require.EqualValues(t, 1, one[int64](t, s, `select count(*) from outbox_stuck where parked`))
}

// A broker that refuses the producer, whatever it sends, is no reason to give up rows; and it is
// said.
func TestAProducerThatIsRefusedMakesNoRowStuck(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	r := s.relay(t, relay.Options{})
	s.insertMany(t, 3, 3)
	await(t, func() bool { return r.Status().BrokerErr != nil }, "the relay to say that it cannot send")
	require.Zero(t, s.stuck(t))
	fault.Remove()
	requireCounted(t, s.values(t, 9), 3, 3)
	require.Zero(t, s.stuck(t))
}

// One of three partitions of a topic has no leader: nobody answers for it, and metadata says so.
// The other topic flows, the rows of this one wait, and when the partition has a leader again they
// all arrive, in order.
func TestAPartitionWithoutALeaderHaltsNoOtherTopic(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.CreateTopics(t, 3, "orphan.v1")
	s.broker.SetTopic(t, "orphan.v1", broker.LeaderlessPartitions, "0,1")
	r := s.relay(t, relay.Options{BatchRows: 100, InFlightRows: 800})
	s.interleave(t, "orphan.v1", 1, 1000)
	requireCounted(t, s.values(t, 5000), 5, 1000)
	await(t, func() bool { return !r.Status().Waits["orphan.v1"].IsZero() }, "the relay to say which topic waits")
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_stuck where not parked`), "no row is refused")
	s.broker.SetTopic(t, "orphan.v1", broker.LeaderlessPartitions, "")
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be parked")
	s.drained(t)
	requireCounted(t, firsts(s.broker.All(t, "orphan.v1")), 5, 1000)
	await(t, func() bool { return len(r.Status().Waits) == 0 }, "the relay to say that nothing waits")
}
