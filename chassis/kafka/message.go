package kafka

import (
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Header is one Kafka header. It is an alias of a plain struct, so that a package which knows
// nothing of Kafka clients can declare the same and take messages over by a conversion.
type Header = struct {
	Key   string
	Value []byte
}

// Message is one received message.
type Message struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time // as the broker has it
	// Resume is the offset from which the message's partition has to be read again once the batch that
	// the message is handed over in is durable. It is the same in all messages of a partition in the
	// batch, and not always the highest offset plus one: an earlier message may still wait.
	Resume int64
}

func (m Message) partition() TopicPartition { return TopicPartition{m.Topic, m.Partition} }

func received(m *kafka.Message) Message {
	headers := make([]Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = Header{Key: h.Key, Value: h.Value}
	}
	return Message{
		Topic:     *m.TopicPartition.Topic,
		Partition: m.TopicPartition.Partition,
		Offset:    int64(m.TopicPartition.Offset),
		Key:       m.Key,
		Value:     m.Value,
		Headers:   headers,
		Time:      m.Timestamp,
	}
}
