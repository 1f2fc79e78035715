package relay

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"

	"waybill.example/chassis/kafka"
)

func reach(brokers string) kafka.Config {
	return kafka.Config{Brokers: []string{brokers}, SecurityProtocol: "PLAINTEXT"}
}

// Produce sends messages like the backlog's rows as fast as librdkafka takes them, and writes how
// many per second were acknowledged: the limit for whatever sends them from a database. It runs as
// a process of its own.
func Produce(ctx context.Context, brokers string, rows int, out io.Writer) error {
	producer, err := ckafka.NewProducer(reach(brokers).ProducerConfig("bench", ckafka.ConfigMap{
		"go.delivery.report.fields":    "none",
		"go.logs.channel.enable":       false,
		"queue.buffering.max.messages": 1_000_000,
		"queue.buffering.max.kbytes":   1 << 21,
	}))
	if err != nil {
		return err
	}
	defer producer.Close()
	name := topic
	if _, err := producer.GetMetadata(&name, false, 10_000); err != nil {
		return err
	}
	began := time.Now()
	go func() {
		message := ckafka.Message{TopicPartition: ckafka.TopicPartition{Topic: &name, Partition: ckafka.PartitionAny}}
		for i := range rows {
			message.Key = strconv.AppendInt(message.Key[:0], int64(i%10000), 10)
			message.Value = payload(i)
			message.Headers = headers()
			for producer.Produce(&message, nil) != nil { // the queue is full
				pause(ctx, time.Millisecond)
			}
		}
	}()
	for acknowledged := 0; acknowledged < rows; {
		if answer, ok := (<-producer.Events()).(*ckafka.Message); ok {
			if answer.TopicPartition.Error != nil {
				return answer.TopicPartition.Error
			}
			acknowledged++
		}
	}
	fmt.Fprintf(out, "%.0f\n", float64(rows)/time.Since(began).Seconds())
	return nil
}

func payload(i int) []byte {
	text := make([]byte, 0, 300)
	text = append(text, `{"orderId":`...)
	text = strconv.AppendInt(text, int64(i), 10)
	text = append(text, `,"note":"`...)
	for len(text) < 298 {
		text = append(text, 'x')
	}
	return append(text, `"}`...)
}

// headers are the same six that the relay sends.
func headers() []ckafka.Header {
	return []ckafka.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(uuid.UUID{1, 2, 3}.String())},
		{Key: "ce_source", Value: []byte("/waybill/bench")},
		{Key: "ce_type", Value: []byte("OrderCreated")},
		{Key: "ce_time", Value: time.Now().UTC().AppendFormat(nil, time.RFC3339Nano)},
		{Key: "content-type", Value: []byte("application/json")},
	}
}
