package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill/chassis/kafka"
	"waybill/outbox-relay/internal/source"
)

// Prober sends rows one at a time and waits for each answer, to learn which row a broker refuses. A refusal does not
// end it. It is for one goroutine.
type Prober struct {
	client  *kafka.Producer
	logs    *chassis.Logs
	encoder *encoder
	answers chan kafka.Event
	drained sync.WaitGroup
}

// With one row under way at a time there is no order to lose, so it need not be idempotent; a row that was sent twice
// is one that consumers ignore.
var alone = kafka.ConfigMap{
	"enable.idempotence":           false,
	"max.in.flight":                1,
	"linger.ms":                    0,
	"message.timeout.ms":           2000,
	"queue.buffering.max.messages": 10,
	"go.delivery.report.fields":    "none",
	"go.events.channel.size":       100,
	"go.produce.channel.size":      0,
}

// OpenProber starts a prober. It does not wait for a broker.
func OpenProber(config chassis.Config, database string, log *slog.Logger) (*Prober, error) {
	client, err := kafka.NewProducer(config.ProducerConfig("outbox-relay-"+database+"-probe", alone))
	if err != nil {
		return nil, fmt.Errorf("start the probing Kafka producer of database %s: %w", database, err)
	}
	p := &Prober{
		client:  client,
		logs:    chassis.ReadLogs(client.Logs(), log),
		encoder: newEncoder(database),
		answers: make(chan kafka.Event, 1),
	}
	p.drained.Go(func() {
		for range client.Events() { // connection errors, which the answers tell about as well
		}
	})
	return p, nil
}

// Probe sends a row and waits for the answer: nil if it was acknowledged, a *Refusal, or ErrUnavailable if none came.
func (p *Prober) Probe(ctx context.Context, row *source.Row) error {
	if err := topicExists(p.client, row.Topic); err != nil {
		return err
	}
	headers, err := p.encoder.encode(row)
	if err != nil {
		return err
	}
	message := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &row.Topic, Partition: kafka.PartitionAny},
		Key:            row.Key, Value: row.Payload, Headers: headers,
	}
	if err := p.client.Produce(message, p.answers); err != nil {
		return p.judge(row.Topic, err)
	}
	select {
	case event := <-p.answers:
		if answer, ok := event.(*kafka.Message); ok {
			return p.judge(row.Topic, answer.TopicPartition.Error)
		}
		return ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Prober) judge(topic string, err error) error {
	if err == nil {
		return nil
	}
	if refused := refusal(topic, err); refused != nil {
		return refused
	}
	return errors.Join(ErrUnavailable, err)
}

// Close ends the prober at once.
func (p *Prober) Close() {
	_ = p.client.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking)
	p.client.Close()
	p.drained.Wait()
	p.logs.Wait()
}
