package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"waybill.example/contracts"
)

// topics are those that consumers read.
var topics = []string{
	contracts.TopicOrders, contracts.TopicInventory, contracts.TopicOrderCommands, contracts.TopicInventoryCommands,
}

var duplicates = Drill{
	Name:    "duplicates",
	Promise: "every message on every topic is sent again, shuffled and more than once: nothing happens twice",
	For:     10 * time.Second, Brief: 4 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("all messages sent again")
		defer end()
		sent := 0
		for until := time.Now().Add(d); time.Now().Before(until); {
			records, err := s.messages(ctx, topics...)
			if err != nil {
				return err
			}
			s.Random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			if err := s.produce(ctx, records); err != nil {
				return err
			}
			sent += len(records)
			if err := s.Wait(ctx, d/4); err != nil {
				return err
			}
		}
		s.Measured("%d messages were sent again", sent)
		return nil
	},
}

// The load goes on, so there is always something new to read: so much is enough.
const (
	readFor = 2 * time.Second
	enough  = 20_000
)

// messages reads topics from their beginning.
func (s *Environment) messages(ctx context.Context, topics ...string) ([]*kgo.Record, error) {
	client, err := s.kafka(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	poll, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	var records []*kgo.Record
	for poll.Err() == nil && len(records) < enough {
		client.PollRecords(poll, enough).EachRecord(func(r *kgo.Record) {
			records = append(records, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
		})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return records, nil
}

func (s *Environment) produce(ctx context.Context, records []*kgo.Record) error {
	client, err := s.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("send messages by hand: %w", err)
	}
	return nil
}
