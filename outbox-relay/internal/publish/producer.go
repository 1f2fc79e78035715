package publish

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/source"
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

// alive are the settings that notice a broker that has gone without a word, and partitions that are new.
var alive = kafka.ConfigMap{
	"socket.keepalive.enable":            true,
	"socket.timeout.ms":                  15_000,
	"topic.metadata.refresh.interval.ms": 10_000,
}

// Settings are what producers of one database differ in.
type Settings struct {
	Pace Pace
	// BatchBytes is the most bytes in a request to one partition, if that must be less than librdkafka's default.
	BatchBytes int
}

// Open starts a producer for the rows of a database. It does not wait for a broker.
func Open(config chassis.Config, database string, s Settings, log *slog.Logger) (*Producer, error) {
	settings := maps.Clone(tuned)
	maps.Copy(settings, alive)
	settings["linger.ms"] = string(s.Pace)
	if s.BatchBytes > 0 {
		settings["batch.size"] = s.BatchBytes
	}
	maps.Copy(settings, gapless)
	client, err := kafka.NewProducer(config.ProducerConfig("outbox-relay-"+database, settings))
	if err != nil {
		return nil, configError(fmt.Errorf("start the Kafka producer of database %s: %w", database, err))
	}
	return &Producer{
		client:  client,
		logs:    chassis.ReadLogs(client.Logs(), log),
		encoder: newEncoder(database),
	}, nil
}

// MaxMessage is the longest message in bytes that the client sends, which a setting may have changed.
func MaxMessage(config chassis.Config) int {
	for _, property := range config.Properties {
		if name, value, _ := strings.Cut(property, "="); strings.TrimSpace(name) == "message.max.bytes" {
			if bytes, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				return bytes
			}
		}
	}
	return 1_000_000
}

// Events carries what became of rows (*kafka.Message, whose Opaque is the row) and the client's errors (kafka.Error).
func (p *Producer) Events() <-chan kafka.Event { return p.client.Events() }

// Send hands a row to librdkafka, which copies it. Its topic must exist: librdkafka would keep the row for half a minute
// and then refuse it, which is still what happens if the topic is deleted later. It returns a *Refusal if the row
// can never be sent as it is, or ErrBusy; any other error means that the producer has ended.
func (p *Producer) Send(row *source.Row) error {
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

// Purge makes librdkafka give up every row that it has not sent or not been answered about, and say so in Events.
func (p *Producer) Purge() {
	_ = p.client.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking) // it knows no other errors than a wrong flag
}

// Close ends the producer, which takes up to a few hundred milliseconds. Rows that were not acknowledged may have reached
// the broker or not.
func (p *Producer) Close() {
	p.Purge()
	p.client.Close()
	p.logs.Wait()
}
