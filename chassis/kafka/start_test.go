package kafka_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/kafkatest"
)

// librdkafka's first fetch has those partitions whose offsets it has learned by then. The others
// wait until a broker has answered it, and the first of their messages with them.
func TestConsumer_APartitionDoesNotWaitLongForAFetchThatFindsNothing(t *testing.T) {
	t.Parallel()
	b := kafkatest.Start(t, "topic")
	var fetches, longest atomic.Int64
	b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(r kmsg.Request) bool {
		fetches.Add(1)
		longest.Store(max(longest.Load(), int64(r.(*kmsg.FetchRequest).MaxWaitMillis)))
		return true
	}})
	l := newLedger()
	consume(t, b.Addr(), l)
	sequences(t, b, 10, "a", "b", "c", "d", "e")
	l.await(t, "all messages", func(l *ledger) bool { return len(l.applied) == 50 })
	require.Positive(t, fetches.Load())
	require.LessOrEqual(t, longest.Load(), int64(100))
}
