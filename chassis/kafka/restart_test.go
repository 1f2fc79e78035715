package kafka_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/kafkatest"
)

// The topic is deleted and made again under a running consumer. An offset of the old one that was
// stored would have the consumer skip the beginning of the new one after its next start.
func TestConsumer_FollowsAPartitionThatBeginsAgain(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t)
	b.CreateTopics(t, 1, "topic")
	sequences(t, b, 100, "a")
	l := newLedger()
	stop := consume(t, b.Addr(), l)
	l.await(t, "the old topic", func(l *ledger) bool { return len(l.applied) == 100 })

	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	require.NoError(t, err)
	defer client.Close()
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TopicNames = []string{"topic"}
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = new("topic")
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(response.Topics[0].ErrorCode))
	b.CreateTopics(t, 1, "topic")
	sequences(t, b, 10, "b")
	l.await(t, "the new topic", func(l *ledger) bool { return len(l.applied) >= 110 })
	l.mu.Lock()
	last := l.messages[len(l.messages)-1]
	l.mu.Unlock()
	require.Equal(t, int64(9), last.Offset)
	require.Equal(t, int64(10), last.Resume)
	stop()
	require.LessOrEqual(t, b.Committed(t, "group", "topic")[0], int64(10))
	require.Equal(t, counted("b", 10), l.of("b"))
}
