// Package topics asks a broker what a topic is like, and creates one like it. The relay creates no
// topic by itself: this is for an operator who has found out that one is missing.
package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/chassis/config"
	chassis "waybill.example/chassis/kafka"
	"waybill.example/outbox-relay/internal/ops"
)

// Broker is a Kafka and a login to it. It keeps no connection between two calls, and is safe for
// concurrent use.
type Broker struct{ config chassis.Config }

// NewBroker does not connect.
func NewBroker(c chassis.Config) Broker { return Broker{c} }

// Load returns the Kafka of the KAFKA_ settings.
func Load() (Broker, error) {
	var settings struct{ Kafka chassis.Config }
	err := config.Load(&settings)
	return Broker{settings.Kafka}, err
}

// timeout is what one question to the broker may take.
const timeout = 4 * time.Second

// withClient passes a client that is closed again.
func (b Broker) withClient(do func(*kafka.AdminClient) error) error {
	client, err := kafka.NewAdminClient(b.config.AdminConfig("outbox-relay-topics"))
	if err != nil {
		return fmt.Errorf("start a Kafka client: %w", err)
	}
	defer client.Close()
	return do(client)
}

// Describe says what a topic is like. The error is an [ops.ErrNotFound] where it does not exist.
func (b Broker) Describe(ctx context.Context, name string) (t ops.Topic, err error) {
	err = b.withClient(func(client *kafka.AdminClient) error {
		metadata, err := client.GetMetadata(&name, false, int(timeout.Milliseconds()))
		if err != nil {
			return fmt.Errorf("look topic %s up: %w", name, err)
		}
		found := metadata.Topics[name]
		switch found.Error.Code() {
		case kafka.ErrNoError:
		case kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic:
			return fmt.Errorf("topic %s: %w", name, ops.ErrNotFound)
		default:
			return fmt.Errorf("look topic %s up: %w", name, found.Error)
		}
		t = ops.Topic{Name: name, Partitions: len(found.Partitions)}
		for _, p := range found.Partitions {
			t.Replicas = max(t.Replicas, len(p.Replicas))
		}
		t.Config, err = configOf(ctx, client, name)
		return err
	})
	return t, err
}

// configOf returns what was set for a topic itself; what it has from the broker a new one has too.
func configOf(ctx context.Context, client *kafka.AdminClient, name string) (map[string]string, error) {
	answers, err := client.DescribeConfigs(ctx, []kafka.ConfigResource{{Type: kafka.ResourceTopic, Name: name}}, kafka.SetAdminRequestTimeout(timeout))
	if err == nil && answers[0].Error.Code() != kafka.ErrNoError {
		err = answers[0].Error
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration of topic %s: %w", name, explained(err))
	}
	set := map[string]string{}
	for key, entry := range answers[0].Config {
		if entry.Source == kafka.ConfigSourceDynamicTopic && !entry.IsReadOnly && !entry.IsSensitive {
			set[key] = entry.Value
		}
	}
	return set, nil
}

// Create creates a topic, or with dryRun only has the broker say whether it would. A topic that
// exists already is an [ops.ErrConflict].
func (b Broker) Create(ctx context.Context, t ops.Topic, dryRun bool) error {
	return b.withClient(func(client *kafka.AdminClient) error {
		answers, err := client.CreateTopics(ctx, []kafka.TopicSpecification{{
			Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replicas, Config: t.Config,
		}}, kafka.SetAdminRequestTimeout(timeout), kafka.SetAdminOperationTimeout(timeout), kafka.SetAdminValidateOnly(dryRun))
		if err == nil && answers[0].Error.Code() != kafka.ErrNoError {
			err = answers[0].Error
		}
		if err != nil {
			return fmt.Errorf("create topic %s: %w", t.Name, explained(err))
		}
		return nil
	})
}

// explained says what an operator can do about a refusal.
func explained(err error) error {
	var failure kafka.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code() {
	case kafka.ErrTopicAuthorizationFailed, kafka.ErrClusterAuthorizationFailed:
		return fmt.Errorf("%w: the relay's Kafka login may not do it (it needs Create and DescribeConfigs on the topic); "+
			"create it as an administrator of the broker: %w", ops.ErrConflict, err)
	case kafka.ErrTopicAlreadyExists:
		return fmt.Errorf("%w: it exists already", ops.ErrConflict)
	case kafka.ErrInvalidPartitions, kafka.ErrInvalidReplicationFactor, kafka.ErrInvalidConfig, kafka.ErrPolicyViolation, kafka.ErrTopicException:
		return fmt.Errorf("%w: the broker refuses it: %w", ops.ErrInvalid, err)
	default:
		return err
	}
}
