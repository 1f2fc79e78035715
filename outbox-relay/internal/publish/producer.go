package publish

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/source"
)

// ErrBusy means that librdkafka's queue is full: wait for answers, then send again.
var ErrBusy = errors.New("the producer's queue is full")

// ErrUnavailable means that no broker answers now.
var ErrUnavailable = errors.New("no broker answers")

// Producer is one life of a librdkafka producer, or the share that one database has in it: it ends
// with the first row that a broker refuses. It is for one goroutine.
type Producer struct {
	client  *client
	encoder *encoder
	message kafka.Message // reused by every Send
	opened  time.Time
	warming sync.WaitGroup
	closed  atomic.Bool // ends the warming early
	share   *share      // nil: nobody else sends with the client
}

// gapless are the settings that the package's promise rests on; see its documentation.
var gapless = kafka.ConfigMap{
	"enable.gapless.guarantee": true,
	"max.in.flight":            1,
	"message.timeout.ms":       0,
}

// Profile is how long a producer lingers to fill batches.
type Profile uint8

// A low-latency producer sends a row at once. By default a row lingers for half a millisecond,
// which saves producer and broker a request now and then. For throughput it lingers for five:
// requests of hundreds of rows are half the work for the broker.
const (
	LowLatency Profile = iota
	Default
	Throughput
)

var linger = [...]string{LowLatency: "0", Default: "0.5", Throughput: "5"} // milliseconds

// tuned are the settings that only speed and memory rest on. The relay bounds what is in flight
// itself, and uses no produce channel, which would have room for a million messages.
var tuned = kafka.ConfigMap{
	"batch.num.messages":           10000,
	"queue.buffering.max.messages": 1_000_000,
	"queue.buffering.max.kbytes":   1 << 21,
	"go.delivery.report.fields":    "none",
	"go.events.channel.size":       20_000,
	"go.produce.channel.size":      0,
}

// alive are the settings that notice a broker that has gone without a word, and partitions that are
// new.
var alive = kafka.ConfigMap{
	"socket.keepalive.enable":            true,
	"socket.timeout.ms":                  15_000,
	"topic.metadata.refresh.interval.ms": 10_000,
}

// Settings are what producers of one database differ in.
type Settings struct {
	Profile Profile
	// BatchBytes is the most bytes in a request to one partition, if that must be less than
	// librdkafka's default.
	BatchBytes int
}

// Open starts a producer for the rows of a database. It does not wait for a broker.
func Open(config chassis.Config, database string, s Settings, log *slog.Logger) (*Producer, error) {
	client, err := s.open(config, "outbox-relay-"+database, log)
	if err != nil {
		return nil, configError(fmt.Errorf("start the Kafka producer of database %s: %w", database, err))
	}
	return &Producer{client: client, encoder: newEncoder(database), opened: time.Now()}, nil
}

// MaxMessage is the longest message in bytes that the client sends, which a setting may have
// changed.
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

// Events carries what became of rows (*kafka.Message, whose Opaque is the row) and, unless the
// producer is shared, the client's errors (kafka.Error).
func (p *Producer) Events() <-chan kafka.Event {
	if p.share != nil {
		return p.share.deliveries
	}
	return p.client.Events()
}

// Send hands a row to librdkafka, which copies it. Its topic must exist: librdkafka would keep the
// row for half a minute and then refuse it, which is still what happens if the topic is deleted
// later. It returns a *PermanentError if the row can never be sent as it is, or ErrBusy; any other
// error means that the producer has ended.
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
	err = p.client.Produce(&p.message, p.deliveries())
	if err == nil {
		return nil
	}
	var failure kafka.Error
	if errors.As(err, &failure) && failure.Code() == kafka.ErrQueueFull {
		return ErrBusy
	}
	if refused := permanent(row.Topic, err); refused != nil {
		return refused
	}
	return fmt.Errorf("produce: %w", err)
}

// Answered reads an event as the broker's answer about a row: its row and partition, and nil if it
// was acknowledged, a *PermanentError, or another error if the producer ended before an answer
// came. Other events have no row.
func Answered(event kafka.Event) (*source.Row, int32, error) {
	message, ok := event.(*kafka.Message)
	if !ok {
		return nil, 0, nil
	}
	row, ok := message.Opaque.(*source.Row)
	if !ok {
		return nil, 0, nil
	}
	at := message.TopicPartition
	if at.Error == nil {
		return row, at.Partition, nil
	}
	if refused := permanent(row.Topic, at.Error); refused != nil {
		return row, at.Partition, refused
	}
	return row, at.Partition, at.Error
}

// Warm has the client learn of topics, and connect to a broker, before the first row needs it. It
// does not wait for that.
func (p *Producer) Warm(topics []string) {
	p.warming.Go(func() {
		for _, topic := range topics {
			if p.closed.Load() {
				return
			}
			_ = p.LookUp(topic) // the first row will meet the same error
		}
	})
}

// deliveries is where librdkafka reports what became of a row: nil stands for the client's own
// channel.
func (p *Producer) deliveries() chan kafka.Event {
	if p.share != nil {
		return p.share.deliveries
	}
	return nil
}

// Purge makes librdkafka give up every row that it has not sent or not been answered about, and say
// so in Events. A producer that is shared ends by it for all who share it.
func (p *Producer) Purge() {
	if p.share != nil {
		p.share.of.end()
		return
	}
	purge(p.client.Producer)
}

// Close ends the producer, which takes up to a few hundred milliseconds, or gives up the share in
// it. Rows that were not acknowledged may have reached the broker or not, and those of a share may
// still do so.
func (p *Producer) Close() {
	if p.share != nil {
		p.share.of.leave(p.share)
		return
	}
	p.closed.Store(true)
	p.warming.Wait()
	p.client.close()
}
