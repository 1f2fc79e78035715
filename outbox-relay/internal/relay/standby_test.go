package relay_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/outbox-relay/internal/relay"
)

// A standby that reaches no broker would be no help, and says so before it is needed.
func TestStandby_SaysThatItReachesNoBroker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{})
	await(t, func() bool { return one[int64](t, s, `select epoch from outbox_cursor`) == 1 }, "a leader")
	standby := s.relay(t, relay.Options{})
	await(t, func() bool { return standby.Status().State == relay.Standby }, "a standby")
	require.NoError(t, standby.Status().BrokerErr)
	s.broker.Stop()
	await(t, func() bool { return standby.Status().BrokerErr != nil }, "the standby to say that it reaches no broker")
	s.broker.Start(t)
	await(t, func() bool { return standby.Status().BrokerErr == nil }, "the standby to say that it does")
}

// The leader has rows with the broker that it does not take, for longer than it takes to be
// considered frozen: it keeps the lead.
func TestStandby_LeavesALeaderWhoseBrokerIsSlowAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	fault := s.broker.FailProduce(topic, kerr.NotEnoughReplicas)
	options := relay.Options{UnresponsiveAfter: frozenAfter}
	leader := s.relay(t, options)
	await(t, func() bool { return one[int64](t, s, `select epoch from outbox_cursor`) == 1 }, "a leader")
	s.relay(t, options)
	s.insertMany(t, 3, 100)
	await(t, func() bool { return leader.gauge(t, "oldest_in_flight_seconds") > frozenAfter.Seconds()+2 }, "rows to have waited for longer")
	fault.Remove()
	requireCounted(t, s.values(t, 300), 3, 100)
	require.EqualValues(t, 1, one[int64](t, s, `select epoch from outbox_cursor`))
}

// People pause a source to give its topic more partitions. On resume no producer goes on with the
// old number.
func TestResume_TakesUpPartitionsThatAreNew(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.CreateTopics(t, 1, "grows.v1")
	r := s.relay(t, relay.Options{})
	insert := func(from, to int) {
		s.exec(t, `insert into outbox (topic, key, type, payload)
			select 'grows.v1', 'k' || k, 'Counted', convert_to(i::text, 'utf8') from generate_series($1::int, $2::int) i, generate_series(1, 20) k order by i, k`, from, to)
	}
	insert(1, 10)
	s.drained(t)
	_, err := s.ops(t).Pause(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return r.Status().State == relay.Paused }, "the relay to pause")
	s.broker.SetPartitions(t, "grows.v1", 6)
	_, err = s.ops(t).Resume(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to go on")
	insert(11, 20)
	s.drained(t)
	places := map[string]map[int32]bool{}
	for _, record := range s.broker.All(t, "grows.v1") {
		var n int
		_, err := fmt.Sscan(string(record.Value), &n)
		require.NoError(t, err)
		if n <= 10 {
			continue
		}
		key := string(record.Key)
		if places[key] == nil {
			places[key] = map[int32]bool{}
		}
		places[key][record.Partition] = true
	}
	used := map[int32]bool{}
	for key, partitions := range places {
		require.Len(t, partitions, 1, "key %s", key)
		for p := range partitions {
			used[p] = true
		}
	}
	require.Greater(t, len(used), 1, "the new partitions are used")
}
