package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/source"
)

// Prober asks brokers questions without making anybody wait: whether a topic exists, and whether one row, alone in its
// request, is taken. The answers come on a channel. A refusal does not end it. It is for one goroutine.
type Prober struct {
	client    *kafka.Producer
	logs      *chassis.Logs
	encoder   *encoder
	questions chan question
	answers   chan Answer
	closed    context.Context
	close     context.CancelFunc
	running   sync.WaitGroup
}

// question is whether a topic exists, and what to send to it if it does.
type question struct {
	topic   string
	row     *source.Row
	message *kafka.Message
}

// Answer is what a Prober has found out.
type Answer struct {
	// Row is the row that was sent; nil if the question was about a topic.
	Row *source.Row
	// Topic is the topic that was looked up, and empty where the question was whether any broker answers.
	Topic string
	// Err is nil, a *Refusal, ErrUnavailable if no broker answers, or ErrNoLeader if one does, but not about this topic or row.
	Err error
}

// ErrNoLeader means that brokers answer, but none takes rows of the topic now.
var ErrNoLeader = errors.New("no broker takes rows of the topic now")

// With one row in a request there is no company to be refused for, and with one row of a key under way at a time no order
// to lose, so it need not be idempotent; a row that was sent twice is one that consumers ignore.
var alone = kafka.ConfigMap{
	"enable.idempotence":           false,
	"max.in.flight":                100,
	"batch.num.messages":           1,
	"linger.ms":                    0,
	"message.timeout.ms":           2000,
	"queue.buffering.max.messages": 10_000,
	"go.delivery.report.fields":    "none",
	"go.events.channel.size":       1000,
	"go.produce.channel.size":      0,
}

const (
	lookUpTimeout = time.Second
	maxQuestions  = 1000
)

// OpenProber starts a prober. It does not wait for a broker.
func OpenProber(config chassis.Config, database string, log *slog.Logger) (*Prober, error) {
	settings := maps.Clone(alone)
	maps.Copy(settings, alive)
	client, err := kafka.NewProducer(config.ProducerConfig("outbox-relay-"+database+"-probe", settings))
	if err != nil {
		return nil, configError(fmt.Errorf("start the probing Kafka producer of database %s: %w", database, err))
	}
	p := &Prober{
		client:    client,
		logs:      chassis.ReadLogs(client.Logs(), log),
		encoder:   newEncoder(database),
		questions: make(chan question, maxQuestions),
		answers:   make(chan Answer, maxQuestions),
	}
	p.closed, p.close = context.WithCancel(context.Background())
	p.running.Go(p.lookUps)
	p.running.Go(p.deliveries)
	return p, nil
}

// Answers carries the answers.
func (p *Prober) Answers() <-chan Answer { return p.answers }

// LookUp asks whether a topic exists, and with the empty name whether a broker answers. It returns false if too many
// questions are open.
func (p *Prober) LookUp(topic string) bool {
	select {
	case p.questions <- question{topic: topic}:
		return true
	default:
		return false
	}
}

// Send sends a row, whose payload must be loaded, alone. It returns an error if there is no answer to come: a *Refusal
// or ErrUnavailable.
func (p *Prober) Send(row *source.Row) error {
	message, err := p.message(row)
	if err != nil {
		return err
	}
	return judge(row.Topic, p.client.Produce(message, nil))
}

// SendIfThere sends a row as [Prober.Send] does, once a broker has said that its topic exists. The client keeps a row of
// a topic that does not exist until its time is up, in the hope that it will be made; this answers at once.
func (p *Prober) SendIfThere(row *source.Row) error {
	message, err := p.message(row)
	if err != nil {
		return err
	}
	select {
	case p.questions <- question{topic: row.Topic, row: row, message: message}:
		return nil
	default:
		return judge(row.Topic, p.client.Produce(message, nil))
	}
}

func (p *Prober) message(row *source.Row) (*kafka.Message, error) {
	headers, err := p.encoder.encode(row)
	if err != nil {
		return nil, err
	}
	return &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &row.Topic, Partition: kafka.PartitionAny},
		Key:            row.Key, Value: row.Payload, Headers: headers, Opaque: row,
	}, nil
}

func (p *Prober) lookUps() {
	for {
		select {
		case q := <-p.questions:
			err := p.lookUp(q.topic)
			if q.row != nil && err == nil {
				err = judge(q.topic, p.client.Produce(q.message, nil))
				if err == nil {
					continue // its answer comes by itself
				}
			}
			p.answer(Answer{Row: q.row, Topic: q.topic, Err: err})
		case <-p.closed.Done():
			return
		}
	}
}

func (p *Prober) deliveries() {
	for event := range p.client.Events() {
		if row, err := Answered(event); row != nil {
			p.answer(Answer{Row: row, Err: judge(row.Topic, err)})
		}
	}
}

func (p *Prober) answer(a Answer) {
	select {
	case p.answers <- a:
	case <-p.closed.Done():
	}
}

func (p *Prober) lookUp(topic string) error { return lookUp(p.client, topic) }

// LookUp asks a broker whether a topic exists, and waits for the answer: nil, a *Refusal, ErrUnavailable or ErrNoLeader.
func (p *Producer) LookUp(topic string) error { return lookUp(p.client, topic) }

func lookUp(client *kafka.Producer, topic string) error {
	if topic == "" {
		if _, err := client.GetMetadata(nil, false, int(lookUpTimeout.Milliseconds())); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil
	}
	if refused := badName(topic); refused != nil {
		return refused
	}
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
	return fmt.Errorf("%w: %w", ErrNoLeader, found.Error)
}

func judge(topic string, err error) error {
	if err == nil {
		return nil
	}
	if refused := rejection(topic, err); refused != nil {
		return refused
	}
	return errors.Join(ErrNoLeader, err)
}

// Close ends the prober. What it was asked and has not answered stays unanswered.
func (p *Prober) Close() {
	p.close()
	_ = p.client.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking)
	p.client.Close()
	p.running.Wait()
	p.logs.Wait()
}
