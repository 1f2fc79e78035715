package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	ckafka "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"waybill.example/chassis/kafka"
	"waybill.example/devstack/broker"
	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/relay"
)

// asRole is what the processes do that the benchmark starts.
func asRole(ctx context.Context, args []string) error {
	switch args[0] {
	case "broker":
		return serveBroker(ctx, args[1], args[2])
	case "relay":
		return profiled("relay", func() error { return runRelay(ctx, args[1], args[2], args[3:]) })
	case "relays":
		return profiled("relays", func() error { return runRelays(ctx, args[1], args[2:]) })
	case "produce":
		return profiled("produce", func() error { return produce(ctx, args[1], args[2]) })
	default:
		return fmt.Errorf("there is no role %q", args[0])
	}
}

func serveBroker(ctx context.Context, port, dir string) error {
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	b, err := broker.Open(ctx, broker.Config{Port: number, Dir: dir, Topics: []string{topic}})
	if err != nil {
		return err
	}
	defer b.Close()
	<-ctx.Done()
	return nil
}

func runRelay(ctx context.Context, url, brokers string, retention []string) error {
	options := relay.Options{}
	if len(retention) > 0 {
		age, err := time.ParseDuration(retention[0])
		if err != nil {
			return err
		}
		options.Retention, options.Expire = age, time.Second
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	source := relay.NewSource("bench", url, "bench", reach(brokers), options, relay.NewMetrics(prometheus.NewRegistry()), log)
	return source.Run(ctx)
}

// runRelays leads many databases in one process.
func runRelays(ctx context.Context, brokers string, urls []string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	metrics := relay.NewMetrics(prometheus.NewRegistry())
	options := relay.Options{Budget: relay.NewBudget(256 << 20), Clients: publish.NewClients(reach(brokers), log)}
	var sources errgroup.Group
	for i, url := range urls {
		source := relay.NewSource(fmt.Sprint("bench", i), url, "bench", reach(brokers), options, metrics, log)
		sources.Go(func() error { return source.Run(ctx) })
	}
	return sources.Wait()
}

func reach(brokers string) kafka.Config {
	return kafka.Config{Brokers: []string{brokers}, SecurityProtocol: "PLAINTEXT"}
}

// produce sends messages like the backlog's rows as fast as librdkafka takes them, and prints how many a second were
// acknowledged: the limit for whatever sends them from a database.
func produce(ctx context.Context, brokers, count string) error {
	rows, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
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
	fmt.Printf("%.0f\n", float64(rows)/time.Since(began).Seconds())
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
