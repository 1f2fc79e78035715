package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/outbox-relay/internal/relay"
)

// narrowTopic makes a topic of one partition that takes requests of so many bytes at most.
func (s *stage) narrowTopic(t *testing.T, name, bytes string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	limit := kmsg.NewCreateTopicsRequestTopicConfig()
	limit.Name, limit.Value = "max.message.bytes", &bytes
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor, topic.Configs = name, 1, 1, []kmsg.CreateTopicsRequestTopicConfig{limit}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis, request.Topics = 10_000, []kmsg.CreateTopicsRequestTopic{topic}
	response, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, response.Topics[0].ErrorCode)
}

// A topic takes less than the client sends: each request of a backlog is refused, though each row
// but one would be taken. That one is found, the others go out in order, and requests become small
// enough.
func TestATopicThatTakesLessThanTheClientSends(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.narrowTopic(t, "narrow.v1", "100000")
	const n, bad = 1000, 700
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select 'narrow.v1', 'k' || k, 'Counted', convert_to(i || repeat(' ', case when i = $2 and k = 1 then 200000 else 300 end), 'utf8')
		  from generate_series(1, $1::int) i, generate_series(1, 3) k order by i, k`, n, bad)
	options := relay.Options{UnresponsiveAfter: frozenAfter, Fallback: 50 * time.Millisecond}
	s.relay(t, options)
	await(t, func() bool { return one[int64](t, s, `select epoch from outbox_cursor`) == 1 }, "a leader")
	s.relay(t, options)
	await(t, func() bool { return s.stuck(t) == n-bad+1 }, "the row to be stuck and its followers to be parked")
	s.drained(t)
	values := firsts(s.broker.All(t, "narrow.v1"))
	for _, key := range values {
		for i := range key {
			key[i] = strings.TrimSpace(key[i])
		}
	}
	requireCounted(t, map[string][]string{"k1": values["k1"]}, 1, bad-1)
	requireCounted(t, map[string][]string{"k2": values["k2"], "k3": values["k3"]}, 2, n)
	require.Equal(t, "MSG_SIZE_TOO_LARGE", one[string](t, s, `select error_code from outbox_stuck where not parked`))
	require.EqualValues(t, 1, one[int64](t, s, `select epoch from outbox_cursor`))
}
