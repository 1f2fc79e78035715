package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/contracts"
)

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// topics reads every topic, each message once. It is built on franz-go and not on the librdkafka of
// the services, so that what is checked and what checks it have no code in common.
type topics struct {
	brokers []string
	client  *kgo.Client
	next    map[place]int64 // the offset to read next
	ids     map[string][16]byte
	// since is the time from which on a topic still has its messages, if it has lost the first.
	since map[string]time.Time
}

func openTopics(brokers []string) (*topics, error) {
	client, err := newClient(brokers)
	if err != nil {
		return nil, err
	}
	return &topics{brokers: brokers, client: client, next: map[place]int64{}, ids: map[string][16]byte{}, since: map[string]time.Time{}}, nil
}

func newClient(brokers []string) (*kgo.Client, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ClientID("waybill-audit"),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		return nil, fmt.Errorf("open a Kafka client: %w", err)
	}
	return client, nil
}

func (t *topics) close() { t.client.Close() }

// restart has every topic read from its beginning, by a client that does not know the ids of those
// that are gone.
func (t *topics) restart() error {
	client, err := newClient(t.brokers)
	if err != nil {
		return err
	}
	t.client.Close()
	t.client = client
	clear(t.next)
	clear(t.since)
	return nil
}

// look reports whether a topic was deleted and made again since the last time.
func (t *topics) look(ctx context.Context) (wiped bool, err error) {
	known, err := t.metadata(ctx)
	if err != nil {
		return false, err
	}
	for _, topic := range known.Topics {
		name := *topic.Topic
		before, some := t.ids[name]
		wiped = wiped || some && before != topic.TopicID
		t.ids[name] = topic.TopicID
	}
	if wiped {
		return true, nil
	}
	ends, err := t.offsets(ctx, latest)
	if err != nil {
		return false, err
	}
	for at, end := range ends { // a broker that came back empty, and gives no ids
		wiped = wiped || t.next[at] > end
	}
	return wiped, nil
}

// read returns what has come since the last time, each partition in its order.
func (t *topics) read(ctx context.Context) (messages []message, err error) {
	starts, err := t.offsets(ctx, earliest)
	if err != nil {
		return nil, err
	}
	ends, err := t.offsets(ctx, latest)
	if err != nil {
		return nil, err
	}
	left := map[string]map[int32]kgo.Offset{}
	for at, end := range ends {
		if starts[at] > 0 && starts[at] == end {
			t.since[at.topic] = time.Now() // nothing is left of it
		}
		if t.next[at] = max(t.next[at], starts[at]); t.next[at] < end {
			if left[at.topic] == nil {
				left[at.topic] = map[int32]kgo.Offset{}
			}
			left[at.topic][at.partition] = kgo.NewOffset().At(t.next[at])
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	t.client.AddConsumePartitions(left)
	defer func() {
		gone := map[string][]int32{}
		for topic, partitions := range left {
			for p := range partitions {
				gone[topic] = append(gone[topic], p)
			}
		}
		t.client.RemoveConsumePartitions(gone)
	}()
	for t.behind(ends) {
		fetches := t.client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read the topics: %w", err)
		}
		var failed error
		fetches.EachError(func(topic string, _ int32, err error) { failed = fmt.Errorf("read topic %s: %w", topic, err) })
		if failed != nil {
			return nil, failed
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if first := starts[place{r.Topic, r.Partition}]; first > 0 && r.Offset == first && r.Timestamp.After(t.since[r.Topic]) {
				t.since[r.Topic] = r.Timestamp
			}
			t.next[place{r.Topic, r.Partition}] = r.Offset + 1
			messages = append(messages, received(r))
		})
	}
	return messages, nil
}

func (t *topics) behind(ends map[place]int64) bool {
	for at, end := range ends {
		if t.next[at] < end {
			return true
		}
	}
	return false
}

func received(r *kgo.Record) message {
	m := message{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Time: r.Timestamp}
	for _, h := range r.Headers {
		if h.Key == contracts.HeaderID {
			m.EventID, _ = uuid.ParseBytes(h.Value) // Nil belongs to no row
		}
	}
	return m
}

// The timestamps that ask for the two ends of a partition.
const (
	latest   = -1
	earliest = -2
)

func (t *topics) metadata(ctx context.Context) (*kmsg.MetadataResponse, error) {
	metadata := kmsg.NewPtrMetadataRequest()
	for _, name := range contracts.Topics() {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = new(name)
		metadata.Topics = append(metadata.Topics, topic)
	}
	known, err := metadata.RequestWith(ctx, t.client)
	if err != nil {
		return nil, fmt.Errorf("ask the broker for its topics: %w", err)
	}
	return known, nil
}

// offsets asks for one end of every partition.
func (t *topics) offsets(ctx context.Context, end int64) (map[place]int64, error) {
	known, err := t.metadata(ctx)
	if err != nil {
		return nil, err
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	for _, topic := range known.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s: %w", *topic.Topic, err)
		}
		asked := kmsg.NewListOffsetsRequestTopic()
		asked.Topic = *topic.Topic
		for _, p := range topic.Partitions {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p.Partition, end
			asked.Partitions = append(asked.Partitions, partition)
		}
		request.Topics = append(request.Topics, asked)
	}
	response, err := request.RequestWith(ctx, t.client)
	if err != nil {
		return nil, fmt.Errorf("ask for the ends of the topics: %w", err)
	}
	offsets := map[place]int64{}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("ask for the ends of topic %s: %w", topic.Topic, err)
			}
			offsets[place{topic.Topic, p.Partition}] = p.Offset
		}
	}
	return offsets, nil
}
