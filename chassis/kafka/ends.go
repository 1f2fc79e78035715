package kafka

import (
	"context"
	"fmt"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/sdk/inbox"
)

// Ends asks brokers where the messages of topics stand. It has connections of its own: on those of
// a consumer, an answer waits behind a fetch that waits for messages.
type Ends struct {
	client  *kafka.AdminClient
	topics  []string
	unlogin func()
}

// NewEnds does not wait for a broker.
func NewEnds(c Config, clientID string, topics []string) (*Ends, error) {
	client, err := kafka.NewAdminClient(c.with(c.common(clientID), kafka.ConfigMap{
		// What goes wrong is in the answers; there is no channel for the log of an admin client.
		"go.logs.channel.enable": false, "log_level": 0,
	}))
	if err != nil {
		return nil, fmt.Errorf("create Kafka admin client: %w", err)
	}
	return &Ends{client, topics, c.FollowLogin(client)}, nil
}

// Close ends the connections.
func (e *Ends) Close() {
	e.unlogin()
	e.client.Close()
}

// Ask returns where the messages of all partitions stand now. It takes no longer than ctx's
// deadline, or a second for each topic.
func (e *Ends) Ask(ctx context.Context) (map[inbox.Partition]inbox.Span, error) {
	first, last := map[kafka.TopicPartition]kafka.OffsetSpec{}, map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, topic := range e.topics {
		metadata, err := e.client.GetMetadata(&topic, false, milliseconds(ctx))
		if err != nil {
			return nil, fmt.Errorf("ask for the partitions of %s: %w", topic, err)
		}
		if fault := metadata.Topics[topic].Error; fault.Code() != kafka.ErrNoError {
			return nil, fmt.Errorf("ask for the partitions of %s: %w", topic, fault)
		}
		for _, p := range metadata.Topics[topic].Partitions {
			one := kafka.TopicPartition{Topic: &topic, Partition: p.ID}
			first[one], last[one] = kafka.EarliestOffsetSpec, kafka.LatestOffsetSpec
		}
	}
	spans := make(map[inbox.Partition]inbox.Span, len(last))
	err := e.list(ctx, last, func(p inbox.Partition, offset int64) { spans[p] = inbox.Span{End: offset} })
	if err == nil {
		err = e.list(ctx, first, func(p inbox.Partition, offset int64) { spans[p] = inbox.Span{First: offset, End: spans[p].End} })
	}
	return spans, err
}

func (e *Ends) list(ctx context.Context, specs map[kafka.TopicPartition]kafka.OffsetSpec, found func(inbox.Partition, int64)) error {
	result, err := e.client.ListOffsets(ctx, specs)
	if err != nil {
		return fmt.Errorf("ask for offsets: %w", err)
	}
	for p, info := range result.ResultInfos {
		if info.Error.Code() != kafka.ErrNoError {
			return fmt.Errorf("ask for the offsets of %s: %w", toPartition(p), info.Error)
		}
		found(toPartition(p), int64(info.Offset))
	}
	return nil
}
