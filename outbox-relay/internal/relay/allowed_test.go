package relay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

func TestTopics_AllowWhatIsNamed(t *testing.T) {
	t.Parallel()
	topics := relay.Topics{"orders.v1", "*.dlq", "drill-*"}
	for _, topic := range []string{"orders.v1", "orders.v1.dlq", ".dlq", "drill-", "drill-a"} {
		require.True(t, topics.Allow(topic), topic)
	}
	for _, topic := range []string{"orders.v10", "aorders.v1", "orders.v1.dlq2", "a-drill-", "ORDERS.V1", "*.dlq.x"} {
		require.False(t, topics.Allow(topic), topic)
	}
	require.True(t, relay.Topics(nil).Allow("any"))
	require.True(t, relay.Topics{"*"}.Allow("any"))
	require.False(t, relay.Topics{}.Allow("any"))
}

// Rows for a topic that this database may not write are one stuck row, and never sent, though the
// topic is there. Rows of the same keys for other topics flow. A retry changes nothing until the
// setting has.
func TestATopicThatTheSettingsForbidIsNeverSentTo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.CreateTopics(t, 3, "inventory.v1", "orders.v1.dlq")
	s.interleave(t, "inventory.v1", 1, 100)
	s.exec(t, insertSQL, "inventory.v1", "long", make([]byte, 20_000)) // is read by itself
	s.exec(t, insertSQL, "orders.v1.dlq", "k1", []byte("letter"))
	fenced := s.relay(t, relay.Options{Topics: relay.Topics{topic, "*.dlq"}})
	requireCounted(t, s.values(t, 500), 5, 100)
	s.drained(t)
	require.Len(t, s.broker.All(t, "orders.v1.dlq"), 1)
	require.Equal(t, "TOPIC_NOT_ALLOWED", one[string](t, s, `select error_code from outbox_stuck where not parked`))
	require.EqualValues(t, 500, one[int64](t, s, `select count(*) from outbox_stuck where parked and topic = 'inventory.v1'`))

	s.insertMany(t, 5, 1)
	s.distinct(t, 505)
	head := one[int64](t, s, `select outbox_id from outbox_stuck where not parked`)
	outcome, err := s.ops(t).Retry(t.Context(), operator, head)
	require.NoError(t, err)
	require.Equal(t, "refused again", outcome.Result)
	require.Equal(t, "TOPIC_NOT_ALLOWED", one[string](t, s, `select error_code from outbox_stuck where not parked`))
	require.Empty(t, s.broker.All(t, "inventory.v1"))

	job, err := s.ops(t).StartReplay(t.Context(), operator, source.Selection{FromID: new(int64(1))}, new("inventory.v1"), 1000)
	require.NoError(t, err)
	await(t, func() bool {
		job, err = s.ops(t).Job(t.Context(), job.ID)
		return err == nil && job.Error != ""
	}, "the replay to end")
	require.Contains(t, job.Error, "RELAY_TOPICS does not allow this database topic inventory.v1")
	require.Empty(t, s.broker.All(t, "inventory.v1"))

	fenced.stop()
	s.relay(t, relay.Options{Topics: relay.Topics{topic, "inventory.*"}})
	_, err = s.ops(t).RetryAll(t.Context(), operator, ops.StuckFilter{})
	require.NoError(t, err)
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	values := firsts(s.broker.All(t, "inventory.v1"))
	require.Len(t, values["long"], 1)
	delete(values, "long")
	requireCounted(t, values, 5, 100)
}
