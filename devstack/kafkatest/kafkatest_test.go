package kafkatest_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"waybill.example/devstack/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConsumeReturnsWhatWasProduced(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "orders.v1")
	sent := kafkatest.Record{
		Topic: "orders.v1", Key: []byte("17"), Value: []byte(`{"orderId":17}`),
		Headers: map[string]string{"ce_type": "OrderCreated", "ce_id": "x"},
	}
	broker.Produce(t, sent, sent)
	got := broker.Consume(t, "orders.v1", 2)
	ignore := cmpopts.IgnoreFields(kafkatest.Record{}, "Partition", "Offset", "Time")
	require.Empty(t, cmp.Diff([]kafkatest.Record{sent, sent}, got, ignore))
	require.Equal(t, got[0].Partition, got[1].Partition, "one key is one partition")
	require.Equal(t, []int64{0, 1}, []int64{got[0].Offset, got[1].Offset})
}

func TestAllReadsEveryPartition(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "orders.v1")
	require.Empty(t, broker.All(t, "orders.v1"))
	var sent []kafkatest.Record
	for i := range 100 {
		sent = append(sent, kafkatest.Record{Topic: "orders.v1", Key: fmt.Append(nil, i), Value: []byte("x")})
	}
	broker.Produce(t, sent...)
	partitions := map[int32]int{}
	for _, r := range broker.All(t, "orders.v1") {
		partitions[r.Partition]++
	}
	require.Len(t, partitions, 3)
	require.Equal(t, 100, partitions[0]+partitions[1]+partitions[2])
}

func TestRestartKeepsPortTopicsAndRecords(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "orders.v1")
	addr := broker.Addr()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	require.NoError(t, err)
	defer client.Close()

	broker.Produce(t, kafkatest.Record{Topic: "orders.v1", Value: []byte("before")})
	broker.Stop()
	require.Error(t, client.Ping(t.Context()), "the broker is down")
	broker.Start(t)
	require.Equal(t, addr, broker.Addr())
	require.NoError(t, client.Ping(t.Context()))
	broker.Produce(t, kafkatest.Record{Topic: "orders.v1", Value: []byte("after")})
	require.Len(t, broker.All(t, "orders.v1"), 2)
}

func TestTopicsAreNotCreatedByMentioningThem(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.AllowAutoTopicCreation())
	require.NoError(t, err)
	defer client.Close()
	err = client.ProduceSync(t.Context(), &kgo.Record{Topic: "nowhere", Value: []byte("x")}).FirstErr()
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestFailProduceRefusesOneTopicUntilRemoved(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "good", "bad")
	fault := broker.FailProduce("bad", kerr.TopicAuthorizationFailed)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	produce := func(topic string) error {
		return client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	require.ErrorIs(t, produce("bad"), kerr.TopicAuthorizationFailed)
	require.NoError(t, produce("good"))
	require.Positive(t, fault.Hits())
	fault.Remove()
	require.NoError(t, produce("bad"))
}

func TestCommittedShowsAGroupsOffsets(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, "orders.v1")
	broker.Produce(t, kafkatest.Record{Topic: "orders.v1", Key: []byte("1"), Value: []byte("x")})
	require.Empty(t, broker.Committed(t, "reader", "orders.v1"))

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.ConsumerGroup("reader"),
		kgo.ConsumeTopics("orders.v1"), kgo.DisableAutoCommit())
	require.NoError(t, err)
	defer client.Close()
	records := client.PollFetches(t.Context()).Records()
	require.Len(t, records, 1)
	require.NoError(t, client.CommitRecords(t.Context(), records...))
	require.Equal(t, map[int32]int64{records[0].Partition: 1}, broker.Committed(t, "reader", "orders.v1"))
}
