package publish

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/source"
)

// Prober asks brokers questions without making anybody wait: whether a topic exists, and whether
// one row, alone in its request, is taken. The answers come on a channel. A refusal does not end
// it, so all sources of a process ask by one client. A Prober is for one goroutine.
type Prober struct {
	clients *Clients
	client  *probeClient
	encoder *encoder
	answers chan Answer // has room for an answer to every open question
	open    atomic.Int32
	closed  chan struct{}
}

// question is whether a topic exists, and what to send to it if it does.
type question struct {
	from    *Prober
	topic   string
	row     *source.Row
	message *kafka.Message
}

// Answer is what a Prober has found out.
type Answer struct {
	// Row is the row that was sent; nil if the question was about a topic.
	Row *source.Row
	// Topic is the topic that was looked up, and empty where the question was whether any broker
	// answers.
	Topic string
	// Partitions is how many partitions the topic has, if it was looked up and exists.
	Partitions int
	// Err is nil, a *PermanentError, ErrUnavailable if no broker answers, or ErrNoLeader if one
	// does, but not about this topic or row.
	Err error
}

// ErrNoLeader means that brokers answer, but none takes rows of the topic now.
var ErrNoLeader = errors.New("no broker takes rows of the topic now")

// With one row in a request there is no company to be refused for, and with one row of a key under
// way at a time no order to lose, so it need not be idempotent; a row that was sent twice is one
// that consumers ignore.
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
	// How many lookups of topics a Prober has open at a time, and how many rows.
	maxQuestions, maxRows = 1000, 1000
	// How many topics are looked up at a time, each by a thread that waits.
	lookUpsAtOnce = 4
)

func newProber(clients *Clients, client *probeClient, database string) *Prober {
	return &Prober{
		clients: clients, client: client, encoder: newEncoder(database),
		answers: make(chan Answer, maxQuestions+maxRows), closed: make(chan struct{}),
	}
}

// Answers carries the answers.
func (p *Prober) Answers() <-chan Answer { return p.answers }

// LookUp asks whether a topic exists, and with the empty name whether a broker answers. It returns
// false if too many questions are open.
func (p *Prober) LookUp(topic string) bool {
	if p.open.Load() >= maxQuestions {
		return false
	}
	p.open.Add(1)
	p.client.ask(question{from: p, topic: topic})
	return true
}

// Send sends a row, whose payload must be loaded, alone. It returns an error if there is no answer
// to come: a *PermanentError or ErrUnavailable. No more than a thousand rows may be without an
// answer.
func (p *Prober) Send(row *source.Row) error {
	message, err := p.message(row)
	if err != nil {
		return err
	}
	return judge(row.Topic, p.client.client.Produce(message, nil))
}

// SendIfThere sends a row as [Prober.Send] does, once a broker has said that its topic exists. The
// client keeps a row of a topic that does not exist until its time is up, in the hope that it will
// be made; this answers at once.
func (p *Prober) SendIfThere(row *source.Row) error {
	message, err := p.message(row)
	if err != nil {
		return err
	}
	p.client.ask(question{from: p, topic: row.Topic, row: row, message: message})
	return nil
}

func (p *Prober) message(row *source.Row) (*kafka.Message, error) {
	headers, err := p.encoder.encode(row)
	if err != nil {
		return nil, err
	}
	return &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &row.Topic, Partition: kafka.PartitionAny},
		Key:            row.Key, Value: row.Payload, Headers: headers, Opaque: &probe{p, row},
	}, nil
}

// probe is what the client knows a row by.
type probe struct {
	from *Prober
	row  *source.Row
}

func (p *Prober) answer(a Answer) {
	select {
	case p.answers <- a:
	case <-p.closed:
	}
}

// Close ends the prober. What it was asked and has not answered stays unanswered.
func (p *Prober) Close() {
	close(p.closed)
	p.clients.leaveProber(p.client)
}

// probeClient is the client that all Probers of a process ask by.
type probeClient struct {
	client  *kafka.Producer
	logs    *chassis.Logs
	unlogin func()
	users   int           // guarded by Clients.mu
	places  chan struct{} // of lookups
	running sync.WaitGroup

	mu    sync.Mutex
	asked map[string][]question // by topic, those that no lookup has begun for
}

func openProbeClient(config chassis.Config, log *slog.Logger) (*probeClient, error) {
	settings := maps.Clone(alone)
	maps.Copy(settings, alive)
	client, err := kafka.NewProducer(config.ProducerConfig("outbox-relay-probe", settings))
	if err != nil {
		return nil, err
	}
	c := &probeClient{
		client: client, logs: chassis.ReadLogs(client.Logs(), log), unlogin: config.FollowLogin(client),
		places: make(chan struct{}, lookUpsAtOnce), asked: map[string][]question{},
	}
	c.running.Go(c.deliveries)
	return c, nil
}

// ask has a topic looked up. Who asks before that has begun is answered by the same lookup: while
// no broker answers, each takes a second, and every database asks.
func (c *probeClient) ask(q question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[q.topic] = append(c.asked[q.topic], q)
	if len(c.asked[q.topic]) == 1 {
		c.running.Go(func() { c.lookUp(q.topic) })
	}
}

func (c *probeClient) lookUp(topic string) {
	if topic != "" { // whether any broker answers is worth a place of its own
		c.places <- struct{}{}
		defer func() { <-c.places }()
	}
	c.mu.Lock()
	asked := c.asked[topic]
	delete(c.asked, topic)
	c.mu.Unlock()
	partitions, err := lookUp(c.client, topic)
	for _, q := range asked {
		q.answered(c.client, partitions, err)
	}
}

// answered passes the answer about a topic on, or sends the row that waited for it.
func (q question) answered(client *kafka.Producer, partitions int, err error) {
	if q.row == nil {
		q.from.open.Add(-1)
		q.from.answer(Answer{Topic: q.topic, Partitions: partitions, Err: err})
		return
	}
	if err == nil {
		if err = judge(q.topic, client.Produce(q.message, nil)); err == nil {
			return // its answer comes by itself
		}
	}
	q.from.answer(Answer{Row: q.row, Topic: q.topic, Err: err})
}

func (c *probeClient) deliveries() {
	for event := range c.client.Events() {
		if message, ok := event.(*kafka.Message); ok {
			sent := message.Opaque.(*probe)
			sent.from.answer(Answer{Row: sent.row, Err: judge(sent.row.Topic, message.TopicPartition.Error)})
		}
	}
}

func (c *probeClient) close() {
	c.unlogin()
	purge(c.client)
	c.client.Close()
	c.running.Wait()
	c.logs.Wait()
}

// LookUp asks a broker whether a topic exists, and waits for the answer: nil, a *PermanentError,
// ErrUnavailable or ErrNoLeader.
func (p *Producer) LookUp(topic string) error {
	_, err := lookUp(p.client.Producer, topic)
	return err
}

func lookUp(client *kafka.Producer, topic string) (partitions int, err error) {
	if topic == "" {
		if _, err := client.GetMetadata(nil, false, int(lookUpTimeout.Milliseconds())); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return 0, nil
	}
	if refused := badName(topic); refused != nil {
		return 0, refused
	}
	metadata, err := client.GetMetadata(&topic, false, int(lookUpTimeout.Milliseconds()))
	if err != nil {
		if refused := permanent(topic, err); refused != nil {
			return 0, refused
		}
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	found := metadata.Topics[topic]
	if found.Error.Code() == kafka.ErrNoError {
		return len(found.Partitions), nil
	}
	if refused := permanent(topic, found.Error); refused != nil {
		return 0, refused
	}
	return 0, fmt.Errorf("%w: %w", ErrNoLeader, found.Error)
}

func judge(topic string, err error) error {
	if err == nil {
		return nil
	}
	if refused := byRepetition(topic, err); refused != nil {
		return refused
	}
	return errors.Join(ErrNoLeader, err)
}
