package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/sdk/inbox"
)

// Place names one record.
type Place struct {
	inbox.Partition

	Offset int64
}

func (p Place) String() string { return fmt.Sprintf("%s@%d", p.Partition, p.Offset) }

// Found is a record that was looked up.
type Found struct {
	inbox.Delivery

	// Appended reports that Time is when the broker appended the record (LogAppendTime), and not
	// when its producer took it (CreateTime).
	Appended bool
}

// Lookup reads single records by their place, for people who follow one message. It joins no group,
// commits nothing and keeps no connection between two calls. It is safe for concurrent use; calls
// wait for each other.
type Lookup struct {
	config   Config
	clientID string
	one      sync.Mutex
}

// NewLookup does not connect.
func NewLookup(c Config, clientID string) *Lookup { return &Lookup{config: c, clientID: clientID} }

// Read returns the records that are there, until ctx ends; then what it has found, with the error
// of ctx. A record that has expired, was compacted away or is not there yet is left out. The error
// says why partitions could not be read; that may be because this login may not.
func (l *Lookup) Read(ctx context.Context, places ...Place) (map[Place]Found, error) {
	found := map[Place]Found{}
	l.one.Lock()
	defer l.one.Unlock()
	config := l.config.with(l.config.common(l.clientID), kafka.ConfigMap{"group.id": l.clientID + "-lookup"})
	maps.Copy(*config, kafka.ConfigMap{ // whatever KAFKA_PROPERTIES say of consumers of a group
		"enable.auto.commit": false, "enable.auto.offset.store": false, "auto.offset.reset": "error",
		"enable.partition.eof": true, "isolation.level": "read_uncommitted", "fetch.wait.max.ms": 10,
		"go.logs.channel.enable": false, "log_level": 0,
	})
	consumer, err := kafka.NewConsumer(config)
	if err != nil {
		return found, fmt.Errorf("create Kafka consumer: %w", err)
	}
	defer func() { _ = consumer.Close() }()
	places, errs := readable(ctx, consumer, places)
	for _, round := range rounds(places) {
		if err := read(ctx, consumer, round, found); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return found, errors.Join(errs...)
}

// readable leaves out the places of topics that cannot be read: the client would wait for them.
func readable(ctx context.Context, consumer *kafka.Consumer, places []Place) (left []Place, errs []error) {
	partitions := map[string]int{}
	for _, p := range places {
		if _, asked := partitions[p.Topic]; asked {
			continue
		}
		topic := p.Topic
		metadata, err := consumer.GetMetadata(&topic, false, milliseconds(ctx))
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("ask about topic %s: %w", topic, err))
		case metadata.Topics[topic].Error.Code() == kafka.ErrUnknownTopicOrPart: // it has no records
		case metadata.Topics[topic].Error.Code() != kafka.ErrNoError:
			errs = append(errs, fmt.Errorf("ask about topic %s: %w", topic, metadata.Topics[topic].Error))
		}
		partitions[topic] = len(metadataOf(metadata, topic))
	}
	for _, p := range places {
		if p.Offset >= 0 && p.Partition.Partition >= 0 && int(p.Partition.Partition) < partitions[p.Topic] {
			left = append(left, p)
		}
	}
	return left, errs
}

func metadataOf(m *kafka.Metadata, topic string) []kafka.PartitionMetadata {
	if m == nil || m.Topics[topic].Error.Code() != kafka.ErrNoError {
		return nil
	}
	return m.Topics[topic].Partitions
}

// rounds divides places so that each round has at most one of a partition.
func rounds(places []Place) []map[inbox.Partition]int64 {
	var all []map[inbox.Partition]int64
next:
	for _, p := range places {
		for _, round := range all {
			offset, taken := round[p.Partition]
			if taken && offset == p.Offset {
				continue next
			}
			if !taken {
				round[p.Partition] = p.Offset
				continue next
			}
		}
		all = append(all, map[inbox.Partition]int64{p.Partition: p.Offset})
	}
	return all
}

// read reads one record of each partition.
func read(ctx context.Context, consumer *kafka.Consumer, wanted map[inbox.Partition]int64, found map[Place]Found) error {
	var assigned []kafka.TopicPartition
	for p, offset := range wanted {
		topic := p.Topic
		assigned = append(assigned, kafka.TopicPartition{Topic: &topic, Partition: p.Partition, Offset: kafka.Offset(offset)})
	}
	if err := consumer.Assign(assigned); err != nil {
		return fmt.Errorf("assign partitions: %w", err)
	}
	left := len(wanted)
	done := map[inbox.Partition]bool{}
	finish := func(p inbox.Partition) {
		if !done[p] {
			done[p] = true
			left--
		}
	}
	var errs []error
	for left > 0 && ctx.Err() == nil {
		switch e := consumer.Poll(pollFor).(type) {
		case *kafka.Message:
			p := toPartition(e.TopicPartition)
			switch {
			case e.TopicPartition.Error != nil:
				errs = append(errs, fmt.Errorf("read %s: %w", p, e.TopicPartition.Error))
			case int64(e.TopicPartition.Offset) == wanted[p] && !done[p]:
				found[Place{p, wanted[p]}] = Found{Delivery: received(e), Appended: e.TimestampType == kafka.TimestampLogAppendTime}
			}
			finish(p)
		case kafka.PartitionEOF:
			finish(toPartition(kafka.TopicPartition(e)))
		case kafka.Error:
			if e.IsFatal() || e.Code() == kafka.ErrAllBrokersDown {
				return errors.Join(append(errs, e)...)
			}
			switch e.Code() {
			case kafka.ErrOffsetOutOfRange, kafka.ErrAutoOffsetReset: // expired, or not written yet: it is not found
				left = 0 // which partition, the error does not say: what is found is found
			case kafka.ErrTopicAuthorizationFailed:
				left = 0
				errs = append(errs, e)
			default:
				errs = append(errs, e)
			}
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// pollFor is in milliseconds.
const pollFor = int(20 * time.Millisecond / time.Millisecond)
