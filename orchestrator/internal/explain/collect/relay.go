package collect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/internal/explain"
)

// relayClient asks the relay's API. The types below are as much of its answers as is used here.
type relayClient struct{ *apiclient.Client }

type relayMessages struct {
	Databases []struct {
		Database string
		Paused   bool
		Leader   string
		Ahead    int64
		Messages []relayMessage
	}
	Unreachable []string
}

type relayMessage struct {
	ID            int64
	EventID       uuid.UUID
	Topic, Type   string
	CreatedAt     time.Time
	Status, Error string
	Attempts      int
	StuckAt       *time.Time
	NextAttemptAt *time.Time
	Headers       json.RawMessage
	Payload       []byte
	PayloadBytes  int64
	Masked        string
}

func (m relayMessage) message() explain.Message {
	message := explain.Message{
		ID: m.ID, EventID: m.EventID, Topic: m.Topic, Type: m.Type, CreatedAt: m.CreatedAt, Status: m.Status,
		Error: m.Error, Attempts: m.Attempts, StuckAt: m.StuckAt, NextAttempt: m.NextAttemptAt,
		Payload: m.Payload, PayloadBytes: m.PayloadBytes, Masked: m.Masked,
	}
	var headers map[string]string
	if json.Unmarshal(m.Headers, &headers) == nil { // others' headers need not be text
		readHeaders(&message, headers)
	}
	return message
}

// messages returns what was sent for a key, in every database that the relay serves.
func (c relayClient) messages(ctx context.Context, key string, payloads bool) ([]explain.Database, error) {
	var found relayMessages
	query := url.Values{"key": {key}, "limit": {strconv.Itoa(explain.SentLimit)}, "payload": {strconv.FormatBool(payloads)}}
	if err := get(ctx, c.Client, "/v1/messages?"+query.Encode(), &found); err != nil {
		return nil, err
	}
	var all []explain.Database
	for _, d := range found.Databases {
		database := explain.Database{Name: d.Database, Outbox: explain.Outbox{Paused: d.Paused, Leader: d.Leader, Ahead: d.Ahead}}
		for _, m := range d.Messages {
			database.Sent = append(database.Sent, m.message())
		}
		all = append(all, database)
	}
	for _, name := range found.Unreachable {
		all = append(all, explain.Database{Name: name, Error: "it did not answer the relay"})
	}
	return all, nil
}

// problems returns what is wrong with databases and their way to the broker, by the name of the
// database. A relay that does not answer says nothing: messages has said so.
func (c relayClient) problems(ctx context.Context) map[string]string {
	var list struct {
		Sources []struct{ Database, Problem, BrokerProblem string }
	}
	if get(ctx, c.Client, "/v1/sources", &list) != nil {
		return nil
	}
	problems := map[string]string{}
	for _, s := range list.Sources {
		if problem := cmp.Or(s.Problem, s.BrokerProblem); problem != "" {
			problems[s.Database] = problem
		}
	}
	return problems
}

type relayDeliveries struct {
	Databases []struct {
		Database   string
		Deliveries []struct {
			EventID         uuid.UUID
			Consumer, Topic string
			Partition       int32
			Offset          int64
			HandledAt       time.Time
		}
	}
	Unreachable []string
}

// maxEvents is how many events the relay looks for at a time.
const maxEvents = 200

// deliveries returns who has handled messages, by the name of each database that has answered.
func (c relayClient) deliveries(ctx context.Context, ids []uuid.UUID) (map[string][]explain.Delivery, error) {
	chunks := slices.Collect(slices.Chunk(ids, maxEvents))
	answers, errs := make([]relayDeliveries, len(chunks)), make([]error, len(chunks))
	var asking sync.WaitGroup
	for i, chunk := range chunks {
		query := url.Values{}
		for _, id := range chunk {
			query.Add("eventId", id.String())
		}
		asking.Go(func() { errs[i] = get(ctx, c.Client, "/v1/deliveries?"+query.Encode(), &answers[i]) })
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := map[string][]explain.Delivery{}
	for _, answer := range answers {
		for _, d := range answer.Databases {
			all[d.Database] = slices.Grow(all[d.Database], len(d.Deliveries)+1) // there, also where it has none
			for _, delivery := range d.Deliveries {
				all[d.Database] = append(all[d.Database], explain.Delivery{
					EventID: delivery.EventID, Consumer: delivery.Consumer, Topic: delivery.Topic,
					Partition: delivery.Partition, Offset: delivery.Offset, At: delivery.HandledAt,
				})
			}
		}
	}
	for _, answer := range answers {
		for _, name := range answer.Unreachable {
			delete(all, name)
		}
	}
	return all, nil
}
