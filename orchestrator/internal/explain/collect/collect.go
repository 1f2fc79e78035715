// Package collect gathers the evidence for [explain.Diagnose]. The orchestrator's own database it
// reads itself; what others know it asks them over HTTP: Orders for the order, Inventory for the
// reservation, each for its health, and the relay for the messages in their outboxes and inboxes.
// It has no login of another service's database.
package collect

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"waybill.example/chassis/apiclient"
	"waybill.example/contracts"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/inbox"
	"waybill.example/sdk/payload"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// timeout bounds how long a service may take. All are asked in parallel, twice: for what was sent,
// and for who handled it.
const timeout = 2 * time.Second

// Collector asks everybody. It is safe for concurrent use.
type Collector struct {
	Sagas *inspect.Inspector
	// Orders, Inventory and Relay are asked over HTTP; one that is nil is not.
	Orders, Inventory, Relay *apiclient.Client
	// Decode reads a message as the runner of the sagas does.
	Decode func(inbox.Delivery) (saga.Message, error)
	// Payloads decodes the payloads before that; nil: they travel as they are.
	Payloads payload.Codec
	// Broker says whether the broker answers the orchestrator; nil: nobody asks.
	Broker func(context.Context) error
	// Shard is whose databases of the relay's are looked at.
	Shard contracts.Shard
	// Records reads records in Kafka, as far as they are there and this login may; nil: nobody
	// does.
	Records func(context.Context, []explain.Place) (map[explain.Place]explain.Record, error)
}

// Explain finds out all that it can about an order, or about the saga of a definition that is
// named. The error is [store.ErrNotFound] where nothing is known of it, or that the orchestrator's
// own saga could not be read. A service that does not answer is a fact of the report.
func (c *Collector) Explain(ctx context.Context, ref saga.Ref, now time.Time) (explain.Report, error) {
	evidence := explain.Evidence{ID: ref.ID, Now: now.UTC(), Registry: c.Sagas.Registry(), Shard: c.Shard}
	state, history, err := c.Sagas.Get(ctx, ref)
	switch {
	case err == nil:
		evidence.Saga, evidence.History = &state, history
	case !errors.Is(err, store.ErrNotFound) || !c.mayBegin(ref.Definition):
		return explain.Report{}, err
	}
	c.collect(ctx, &evidence)
	if !evidence.Known() {
		return explain.Report{}, evidence.Unknown()
	}
	c.records(ctx, &evidence)
	return explain.Diagnose(evidence), nil
}

// mayBegin says whether a saga of a definition can begin here; of no definition in particular, one
// can.
func (c *Collector) mayBegin(definition string) bool {
	_, registered := c.Sagas.Registry().Definition(definition, 0)
	return definition == "" || registered
}

// collect asks everybody at once, first for what was sent, and then who handled it.
func (c *Collector) collect(ctx context.Context, e *explain.Evidence) {
	sentCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var asking sync.WaitGroup
	var states map[string]string
	asking.Go(func() { e.Broker = c.broker(sentCtx) })
	asking.Go(func() { e.Services = c.services(sentCtx, e.ID) })
	if c.Relay != nil {
		asking.Go(func() { states = relayClient{c.Relay}.problems(sentCtx) })
	}
	c.sent(sentCtx, e)
	asking.Wait()
	for i, d := range e.Databases {
		e.Databases[i].Outbox.Problem = states[c.Shard.Database(d.Name)]
	}
	var letters [][]letter
	found := slices.Clone(e.Databases) // handled writes to them
	asking.Go(func() { letters = c.letters(ctx, e.ID, found) })
	c.handled(ctx, e)
	asking.Wait()
	for i, d := range e.Databases {
		note(d.Sent, letters[i])
	}
}

// sent finds what was sent, in all outboxes.
func (c *Collector) sent(ctx context.Context, e *explain.Evidence) {
	var (
		own    explain.Database
		others []explain.Database
		asking sync.WaitGroup
		err    error
	)
	asking.Go(func() { own = ownSent(ctx, c.Sagas.DB(), e.ID, e.Payloads) })
	if e.Relay.Asked = c.Relay != nil; e.Relay.Asked {
		e.Relay.URL = c.Relay.URL()
		asking.Go(func() { others, err = relayClient{c.Relay}.messages(ctx, e.ID, e.Payloads) })
	}
	asking.Wait()
	if err != nil {
		e.Relay.Error = err.Error()
	}
	e.Databases = []explain.Database{own}
	for _, d := range others {
		name, ours := c.Shard.Plain(d.Name)
		if !ours || name == explain.OwnDatabase { // it has been read, and the relay's part in it is known better there
			continue
		}
		d.Name = name
		e.Databases = append(e.Databases, d)
	}
}

// handled asks who has handled the messages that were found, and those that moved the saga.
func (c *Collector) handled(ctx context.Context, e *explain.Evidence) {
	ids, replies := events(*e)
	if len(ids) == 0 {
		return // nobody is asked, and so nobody has not answered
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var (
		own         []explain.Delivery
		byDatabase  map[string][]explain.Delivery
		ownErr, err error
		asking      sync.WaitGroup
	)
	asking.Go(func() { own, ownErr = ownDeliveries(ctx, c.Sagas.DB(), ids) })
	if len(e.Databases) > 1 {
		asking.Go(func() { byDatabase, err = relayClient{c.Relay}.deliveries(ctx, ids) })
	}
	asking.Wait()
	for i := range e.Databases {
		d := &e.Databases[i]
		switch {
		case i == 0 && ownErr != nil:
			d.Error = "its inbox could not be read"
		case i == 0:
			d.Deliveries = own
		case err != nil:
			d.Error = cmp.Or(d.Error, "the relay did not say who has handled its messages: "+err.Error())
		default:
			var answered bool
			if d.Deliveries, answered = byDatabase[c.Shard.Database(d.Name)]; !answered {
				d.Error = cmp.Or(d.Error, "it did not answer the relay")
			}
		}
		for j, delivery := range d.Deliveries {
			if event, ok := replies[delivery.EventID]; ok {
				d.Deliveries[j].EventID = event
			}
		}
	}
}

// events returns the ids by which inboxes may know the messages: the orchestrator knows a reply by
// an id that is made of its own and of the command's, and replies finds the message's own.
func events(e explain.Evidence) (ids []uuid.UUID, replies map[uuid.UUID]uuid.UUID) {
	replies = map[uuid.UUID]uuid.UUID{}
	for _, line := range e.History {
		if line.CauseID != nil {
			ids = append(ids, *line.CauseID)
		}
	}
	for _, d := range e.Databases {
		for _, m := range d.Sent {
			ids = append(ids, m.EventID)
			if m.Cause != nil {
				reply := contracts.ReplyID(m.EventID, *m.Cause)
				ids, replies[reply] = append(ids, reply), m.EventID
			}
		}
	}
	return ids, replies
}

func (c *Collector) broker(ctx context.Context) string {
	if c.Broker == nil || c.Broker(ctx) == nil {
		return ""
	}
	return "the broker does not answer the orchestrator"
}
