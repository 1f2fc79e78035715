package collect

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/inbox"
)

// maxLetters is how many dead letters of a key are looked at per service, the newest.
const maxLetters = 100

// letter is as much of a dead letter as is used here.
type letter struct {
	ID        int64
	EventID   *uuid.UUID
	Topic     string
	Partition int32
	Offset    int64
	State     deadletter.State
}

// letters finds out what has become of the messages that were set aside, by database: what
// announces a dead letter stays in the outbox, whatever is done to it. Of a service that does not
// say, they are as they were announced.
func (c *Collector) letters(ctx context.Context, key string, databases []explain.Database) [][]letter {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all := make([][]letter, len(databases))
	var asking sync.WaitGroup
	for i, d := range databases {
		if slices.ContainsFunc(d.Sent, explain.IsDeadLetter) {
			asking.Go(func() { all[i] = c.lettersOf(ctx, d.Name, key) })
		}
	}
	asking.Wait()
	return all
}

// lettersOf returns nil where the service cannot be asked.
func (c *Collector) lettersOf(ctx context.Context, service, key string) (found []letter) {
	var client *apiclient.Client
	switch service {
	case explain.OwnDatabase:
		own, _ := deadletter.NewStore(c.Sagas.DB()).List(ctx, deadletter.Filter{Any: true, Key: key}, deadletter.Page{Limit: maxLetters})
		for _, l := range own {
			found = append(found, letter{l.ID, l.EventID, l.Topic, l.Partition, l.Offset, l.State})
		}
		return found
	case "orders":
		client = c.Orders
	case "inventory":
		client = c.Inventory
	}
	if client == nil {
		return nil
	}
	var page struct{ DeadLetters []letter }
	query := url.Values{"state": {"any"}, "key": {key}, "limit": {strconv.Itoa(maxLetters)}}
	if get(ctx, client, "/v1/dead-letters?"+query.Encode(), &page) != nil {
		return nil
	}
	return page.DeadLetters
}

// note notes on each message that announces a dead letter what has become of it. There are several
// of one place where an edited copy took it: then an open one counts, or else the newest, which is
// the first.
func note(sent []explain.Message, letters []letter) {
	for i := range sent {
		m := &sent[i]
		for _, l := range letters {
			if !l.announcedBy(*m) || m.Letter != nil && !l.State.Open() {
				continue
			}
			m.Letter = &explain.Letter{ID: l.ID, Settled: !l.State.Open(), State: string(l.State), Nameless: l.EventID == nil}
		}
	}
}

func (l letter) announcedBy(m explain.Message) bool {
	return explain.IsDeadLetter(m) && m.Headers[inbox.HeaderDeadLetterTopic] == l.Topic &&
		m.Headers[inbox.HeaderDeadLetterPartition] == strconv.FormatInt(int64(l.Partition), 10) &&
		m.Headers[inbox.HeaderDeadLetterOffset] == strconv.FormatInt(l.Offset, 10)
}
