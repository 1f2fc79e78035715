package kafka

import (
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/sdk/inbox"
)

func partitionOf(m inbox.Delivery) inbox.Partition {
	return inbox.Partition{Topic: m.Topic, Partition: m.Partition}
}

// toPartition names a partition as the inbox does.
func toPartition(p kafka.TopicPartition) inbox.Partition {
	return inbox.Partition{Topic: *p.Topic, Partition: p.Partition}
}

// received takes a message over from the client.
func received(m *kafka.Message) inbox.Delivery {
	headers := make([]inbox.Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = inbox.Header{Key: h.Key, Value: h.Value}
	}
	return inbox.Delivery{
		Topic:     *m.TopicPartition.Topic,
		Partition: m.TopicPartition.Partition,
		Offset:    int64(m.TopicPartition.Offset),
		Key:       m.Key,
		Value:     m.Value,
		Headers:   headers,
		Time:      m.Timestamp,
	}
}
