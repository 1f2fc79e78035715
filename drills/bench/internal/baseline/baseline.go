// Package baseline is what Waybill is measured against: the order flow as most teams write it
// first, on the same libraries.
//
// The handler inserts the order and then publishes it to Kafka itself; a consumer takes one
// message, changes its database, publishes the answer, commits the offset, and takes the next. It
// is a fair rendering: statements are prepared, connections pooled, the producer does not linger,
// and there is no orchestrator in between, so an order takes two messages where Waybill sends five.
// What it does not have is any of Waybill's promises: a crash between the two writes loses an order
// for good, and a message that comes twice takes effect twice.
package baseline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	chassis "waybill.example/chassis/kafka"
	"waybill.example/chassis/postgres"
)

// The topics, with one consumer each.
const (
	TopicOrders    = "baseline.orders"
	TopicInventory = "baseline.inventory"
)

// Config is how either process reaches what it needs; see the chassis for the variables.
type Config struct {
	Postgres postgres.Config
	Kafka    chassis.Config
	Addr     string `env:"HTTP_ADDR"`
}

// OrdersSchema and InventorySchema are the tables, in a database each.
const (
	OrdersSchema = `
create table orders (
    id bigint generated always as identity primary key, user_id text not null, sku text not null, quantity int not null,
    note text not null default '', status text not null default 'PENDING', created_at timestamptz not null default now());
create index orders_status on orders (status, id)`
	InventorySchema = `
create table stock (sku text primary key, on_hand bigint not null check (on_hand >= 0));
create table reservations (order_id bigint primary key, sku text not null, quantity int not null)`
)

// publisher sends one message and waits until the broker has it.
type publisher struct{ client *kafka.Producer }

func newPublisher(cfg chassis.Config, name string, log *slog.Logger) (*publisher, error) {
	client, err := kafka.NewProducer(cfg.ProducerConfig(name, kafka.ConfigMap{"linger.ms": 0}))
	if err != nil {
		return nil, fmt.Errorf("start a producer: %w", err)
	}
	chassis.ReadLogs(client.Logs(), log)
	return &publisher{client}, nil
}

func (p *publisher) publish(topic, key string, value []byte) error {
	answer := make(chan kafka.Event, 1)
	err := p.client.Produce(&kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny},
		Key:            []byte(key), Value: value,
	}, answer)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	message, ok := (<-answer).(*kafka.Message)
	if !ok {
		return errors.New("publish: no answer")
	}
	return message.TopicPartition.Error
}

// consume handles one message after the other until ctx ends, and commits each.
func consume(ctx context.Context, cfg chassis.Config, group, topic string, handle func(context.Context, []byte) error) error {
	client, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": cfg.Brokers[0], "group.id": group,
		"auto.offset.reset": "earliest", "enable.auto.commit": false,
	})
	if err != nil {
		return fmt.Errorf("start a consumer: %w", err)
	}
	defer func() { _ = client.Close() }() // the process ends with it
	if err := client.Subscribe(topic, nil); err != nil {
		return fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	for ctx.Err() == nil {
		message, err := client.ReadMessage(100 * time.Millisecond)
		if err != nil {
			continue // nothing there, or no broker: look again
		}
		if err := handle(ctx, message.Value); err != nil {
			return err
		}
		if _, err := client.CommitMessage(message); err != nil {
			return fmt.Errorf("commit an offset: %w", err)
		}
	}
	return nil
}
