package kafkatest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Record is a message on a topic. Produce looks at Topic, Key, Value and
// Headers only; a nil Key goes to any partition.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   map[string]string
	Time      time.Time
}

// Produce puts records on their topics in this order, and returns when the
// broker has all of them. Keys choose partitions as the Java client does.
func (b *Broker) Produce(t testing.TB, records ...Record) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	client := b.client(t)
	defer client.Close()
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(r.Headers[name])})
		}
	}
	require.NoError(t, client.ProduceSync(ctx, batch...).FirstErr())
}

// Consume reads a topic from its beginning and returns its first n records, in
// order within each partition. It fails the test when they do not come.
func (b *Broker) Consume(t testing.TB, topic string, n int) []Record {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	return b.consume(ctx, t, topic, n)
}

// All returns every record that is on the topic now.
func (b *Broker) All(t testing.TB, topic string) []Record {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	var n int64
	for _, end := range b.ends(ctx, t, topic) {
		n += end
	}
	return b.consume(ctx, t, topic, int(n))
}

func (b *Broker) consume(ctx context.Context, t testing.TB, topic string, n int) []Record {
	t.Helper()
	client := b.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	var records []Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) { records = append(records, record(r)) })
		require.NoErrorf(t, ctx.Err(), "topic %s holds %d records, not %d", topic, len(records), n)
	}
	return records[:n]
}

func record(r *kgo.Record) Record {
	headers := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: r.Key, Value: r.Value, Headers: headers, Time: r.Timestamp,
	}
}

// ends returns the offset after the last record of each partition of a topic.
func (b *Broker) ends(ctx context.Context, t testing.TB, topic string) map[int32]int64 {
	t.Helper()
	client := b.client(t)
	defer client.Close()
	const latest = -1
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for partition := range b.partitions(ctx, t, client, topic) {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition = int32(partition) // a handful
		p.Timestamp = latest
		asked.Partitions = append(asked.Partitions, p)
	}
	request.Topics = append(request.Topics, asked)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	ends := map[int32]int64{}
	for _, p := range response.Topics[0].Partitions {
		require.NoError(t, kerr.ErrorForCode(p.ErrorCode))
		ends[p.Partition] = p.Offset
	}
	return ends
}

func (b *Broker) partitions(ctx context.Context, t testing.TB, client *kgo.Client, topic string) int {
	t.Helper()
	request := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = new(topic)
	request.Topics = append(request.Topics, asked)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	require.NoErrorf(t, kerr.ErrorForCode(response.Topics[0].ErrorCode), "topic %s", topic)
	return len(response.Topics[0].Partitions)
}

// Committed returns the offsets that a consumer group has committed on a topic,
// by partition; a partition without one is not in it.
func (b *Broker) Committed(t testing.TB, group, topic string) map[int32]int64 {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	client := b.client(t)
	defer client.Close()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestGroup()
	asked.Group = group
	request.Groups = append(request.Groups, asked)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	offsets := map[int32]int64{}
	for _, g := range response.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue // nobody has joined it yet
		}
		require.NoError(t, err)
		for _, committed := range g.Topics {
			if committed.Topic != topic {
				continue
			}
			for _, p := range committed.Partitions {
				offsets[p.Partition] = p.Offset
			}
		}
	}
	return offsets
}

func (b *Broker) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	// A record that comes just as a fetch begins to wait may be answered at the end of the wait: it
	// is not to be the client's five seconds. Close reads the id of a fetch session that a fetch
	// may be writing (franz-go 1.22), so there are none.
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Addr()), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.DisableFetchSessions())...)
	require.NoError(t, err)
	return client
}

// SetPartitions gives a topic more partitions, so many in all.
func (b *Broker) SetPartitions(t testing.TB, topic string, partitions int32) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	client := b.client(t)
	defer client.Close()
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.TimeoutMillis = 5000
	more := kmsg.NewCreatePartitionsRequestTopic()
	more.Topic, more.Count = topic, partitions
	request.Topics = append(request.Topics, more)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	require.Len(t, response.Topics, 1)
	require.NoError(t, kerr.ErrorForCode(response.Topics[0].ErrorCode))
}

// SetTopic sets one setting of a topic.
func (b *Broker) SetTopic(t testing.TB, topic, name, value string) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	client := b.client(t)
	defer client.Close()
	setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	setting.Name, setting.Op, setting.Value = name, kmsg.IncrementalAlterConfigOpSet, &value
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	resource.Configs = append(resource.Configs, setting)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(response.Resources[0].ErrorCode))
}

// DeleteRecords has a topic lose the messages before an offset of each partition, as retention
// does.
func (b *Broker) DeleteRecords(t testing.TB, topic string, before map[int32]int64) {
	t.Helper()
	ctx, cancel := waiting(t)
	defer cancel()
	client := b.client(t)
	defer client.Close()
	deletion := kmsg.NewDeleteRecordsRequestTopic()
	deletion.Topic = topic
	for partition, offset := range before {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		deletion.Partitions = append(deletion.Partitions, p)
	}
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics = append(request.Topics, deletion)
	response, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			require.NoError(t, kerr.ErrorForCode(p.ErrorCode))
		}
	}
}
