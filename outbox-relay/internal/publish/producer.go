package publish

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill/chassis/kafka"
	"waybill/outbox-relay/internal/source"
)

// ErrBusy means that librdkafka's queue is full: wait for answers, then send again.
var ErrBusy = errors.New("the producer's queue is full")

// ErrUnavailable means that no broker answers now.
var ErrUnavailable = errors.New("no broker answers")

// Producer is one life of a librdkafka producer: it ends with the first row that a broker refuses. It is for one
// goroutine.
type Producer struct {
	client  *kafka.Producer
	logs    *chassis.Logs
	encoder *encoder
	topics  map[string]struct{} // those that exist
	message kafka.Message
}

// gapless are the settings that the package's promise rests on; see its documentation.
var gapless = kafka.ConfigMap{
	"enable.gapless.guarantee": true,
	"max.in.flight":            1,
	"message.timeout.ms":       0,
}

// Pace is what a producer is good at.
type Pace string

// A prompt producer sends a row at once. A steady one waits half a millisecond for its neighbours, which saves it and the
// broker a request now and then. One for bulk waits for company: requests of hundreds of rows are half the work for the
// broker.
const (
	Prompt Pace = "0"
	Steady Pace = "0.5"
	Bulk   Pace = "5"
)

// tuned are the settings that only speed and memory rest on. The relay bounds what is in flight itself, and uses no produce
// channel, which would have room for a million messages.
var tuned = kafka.ConfigMap{
	"batch.num.messages":           10000,
	"queue.buffering.max.messages": 1_000_000,
	"queue.buffering.max.kbytes":   1 << 21,
	"go.delivery.report.fields":    "none",
	"go.events.channel.size":       20_000,
	"go.produce.channel.size":      0,
}

// Open starts a producer for the rows of a database. It does not wait for a broker.
func Open(config chassis.Config, database string, pace Pace, log *slog.Logger) (*Producer, error) {
	settings := maps.Clone(tuned)
	settings["linger.ms"] = string(pace)
	maps.Copy(settings, gapless)
	client, err := kafka.NewProducer(config.ProducerConfig("outbox-relay-"+database, settings))
	if err != nil {
		return nil, fmt.Errorf("start the Kafka producer of database %s: %w", database, err)
	}
	return &Producer{
		client:  client,
		logs:    chassis.ReadLogs(client.Logs(), log),
		encoder: newEncoder(database),
		topics:  map[string]struct{}{},
	}, nil
}

// Events carries what became of rows (*kafka.Message, whose Opaque is the row) and the client's errors (kafka.Error).
func (p *Producer) Events() <-chan kafka.Event { return p.client.Events() }

// Send hands a row to librdkafka, which copies it. It returns a *Refusal if the row can never be sent as it is,
// ErrBusy, or ErrUnavailable; any other error means that the producer has ended.
func (p *Producer) Send(row *source.Row) error {
	if err := p.lookUp(row.Topic); err != nil {
		return err
	}
	headers, err := p.encoder.encode(row)
	if err != nil {
		return err
	}
	p.message = kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &row.Topic, Partition: kafka.PartitionAny},
		Key:            row.Key,
		Value:          row.Payload,
		Headers:        headers,
		Opaque:         row,
	}
	err = p.client.Produce(&p.message, nil)
	if err == nil {
		return nil
	}
	var failure kafka.Error
	if errors.As(err, &failure) && failure.Code() == kafka.ErrQueueFull {
		return ErrBusy
	}
	if refused := refusal(row.Topic, err); refused != nil {
		return refused
	}
	return fmt.Errorf("produce: %w", err)
}

const lookUpTimeout = time.Second

// lookUp makes sure that a topic exists before rows are sent to it: librdkafka would keep them for half a minute and
// then refuse them all, which is still what happens to a topic that is deleted later.
func (p *Producer) lookUp(topic string) error {
	if _, ok := p.topics[topic]; ok {
		return nil
	}
	if err := topicExists(p.client, topic); err != nil {
		return err
	}
	p.topics[topic] = struct{}{}
	return nil
}

// topicExists returns nil, a *Refusal, or ErrUnavailable.
func topicExists(client *kafka.Producer, topic string) error {
	metadata, err := client.GetMetadata(&topic, false, int(lookUpTimeout.Milliseconds()))
	if err != nil {
		if refused := refusal(topic, err); refused != nil {
			return refused
		}
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	found := metadata.Topics[topic]
	if found.Error.Code() == kafka.ErrNoError {
		return nil
	}
	if refused := refusal(topic, found.Error); refused != nil {
		return refused
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, found.Error)
}

// Answered reads an event as the broker's answer about a row: its row, and nil if it was acknowledged, a *Refusal, or
// another error if the producer ended before an answer came. Other events have no row.
func Answered(event kafka.Event) (*source.Row, error) {
	message, ok := event.(*kafka.Message)
	if !ok {
		return nil, nil
	}
	row, ok := message.Opaque.(*source.Row)
	if !ok {
		return nil, nil
	}
	if message.TopicPartition.Error == nil {
		return row, nil
	}
	if refused := refusal(row.Topic, message.TopicPartition.Error); refused != nil {
		return row, refused
	}
	return row, message.TopicPartition.Error
}

// Alive returns nil if a broker answers within a second.
func (p *Producer) Alive() error {
	if _, err := p.client.GetMetadata(nil, false, int(lookUpTimeout.Milliseconds())); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Purge makes librdkafka give up every row that it has not sent or not been answered about, and say so in Events.
func (p *Producer) Purge() {
	_ = p.client.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking) // it knows no other errors than a wrong flag
}

// Close ends the producer at once. Rows that were not acknowledged may have reached the broker or not.
func (p *Producer) Close() {
	p.Purge()
	p.client.Close()
	p.logs.Wait()
}
