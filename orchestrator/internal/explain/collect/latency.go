package collect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga"
)

const (
	// latencyWorkers is how many orders are looked at at a time: an operator's question must not
	// become load.
	latencyWorkers = 3
	// recordTimeout bounds how long the records of one order, or of a sample, are read in Kafka.
	recordTimeout = 1500 * time.Millisecond
)

// recent is how many sagas, the newest, a sample can stand for: as many rows are read.
const recent = 100_000

// Of the newest sagas those that have ended, and of these as many as are asked for, evenly spread;
// all where there are fewer. The index sagas_started has them in this order.
const endedSQL = `
with newest as materialized (
    select definition, id, started_at, ended_at from sagas where started_at >= $1 order by started_at desc, id desc limit $3),
ended as (
    select definition, id, row_number() over (order by started_at desc, id desc) as n, count(*) over () as total
      from newest where ended_at is not null)
select definition, id, total, (select count(*) from newest), (select min(started_at) from newest)
  from ended where n * $2 / total > (n - 1) * $2 / total order by n`

// chosen is a sample of the sagas that have ended.
type chosen struct {
	refs  []saga.Ref
	of    int       // so many have
	read  int       // of so many that began
	since time.Time // when the oldest of these did
}

func (c *Collector) choose(ctx context.Context, since time.Time, sample int) (s chosen, err error) {
	rows, _ := c.Sagas.DB().Query(ctx, endedSQL, since, sample, recent)
	s.refs, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (ref saga.Ref, err error) {
		return ref, r.Scan(&ref.Definition, &ref.ID, &s.of, &s.read, &s.since)
	})
	if err != nil {
		return s, fmt.Errorf("choose sagas: %w", err)
	}
	return s, nil
}

// Latency looks at a sample of the sagas that began since a time and have ended, and adds up where
// their time went. However many there are, it reads [recent] of them at most, and asks Orders once
// and the relay twice for each of the sample.
func (c *Collector) Latency(ctx context.Context, since, now time.Time, sample int) (explain.Latency, error) {
	chosen, err := c.choose(ctx, since, sample)
	if err != nil {
		return explain.Latency{}, err
	}
	evidence := c.evidence(ctx, chosen.refs, now)
	c.records(ctx, evidence...)
	var bills []*explain.Bill
	for _, e := range evidence {
		if bill := e.Bill(); bill != nil {
			bills = append(bills, bill)
		}
	}
	l := explain.Summarize(bills)
	l.Since, l.Of = since, chosen.of
	if chosen.read == recent {
		l.Since = chosen.since
		l.Notes = append(l.Notes, fmt.Sprintf("More sagas began than a sample can stand for: it is of the newest %d, which began since %s.", recent, chosen.since.UTC().Format(time.TimeOnly)))
	}
	if len(bills) < len(chosen.refs) {
		l.Notes = append(l.Notes, fmt.Sprintf("%d of %d sagas were not looked at: the time for the answer was over, or nothing of them is known.", len(chosen.refs)-len(bills), len(chosen.refs)))
	}
	return l, nil
}

// evidence collects where the time of sagas went, as long as there is time; the records are not
// read yet.
func (c *Collector) evidence(ctx context.Context, refs []saga.Ref, now time.Time) []*explain.Evidence {
	all := make([]*explain.Evidence, len(refs))
	broker := c.broker(ctx)
	next := make(chan int)
	var working sync.WaitGroup
	for range latencyWorkers {
		working.Go(func() {
			for i := range next {
				e := &explain.Evidence{ID: refs[i].ID, Now: now.UTC(), Registry: c.Sagas.Registry(), Broker: broker}
				state, history, err := c.Sagas.Get(ctx, refs[i])
				if err != nil {
					continue
				}
				e.Saga, e.History = &state, history
				c.steps(ctx, e)
				all[i] = e
			}
		})
	}
	deadline, bounded := ctx.Deadline()
	for i := range refs {
		if ctx.Err() != nil || bounded && time.Until(deadline) < recordTimeout+timeout {
			break
		}
		next <- i
	}
	close(next)
	working.Wait()
	var found []*explain.Evidence
	for _, e := range all {
		if e != nil {
			found = append(found, e)
		}
	}
	return found
}

// steps collects what the bill of a saga is made of: no more than a sample needs.
func (c *Collector) steps(ctx context.Context, e *explain.Evidence) {
	sentCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var asking sync.WaitGroup
	asking.Go(func() { e.Services = c.accepted(sentCtx, e.ID) })
	c.sent(sentCtx, e)
	asking.Wait()
	c.handled(ctx, e)
}

// accepted asks Orders when it accepted an order.
func (c *Collector) accepted(ctx context.Context, id string) []explain.Service {
	if c.Orders == nil || !isOrder(id) {
		return nil
	}
	facts, err := orderFacts(ctx, c.Orders, id)
	if err != nil {
		return nil // the bill begins with the first message
	}
	return []explain.Service{{Name: "orders", URL: c.Orders.URL(), Facts: facts}}
}

// records reads when the messages of orders became records in Kafka.
func (c *Collector) records(ctx context.Context, evidence ...*explain.Evidence) {
	var places []explain.Place
	for _, e := range evidence {
		if e.Broker != "" {
			return
		}
		for _, d := range e.Databases {
			for _, delivery := range d.Deliveries {
				places = append(places, explain.Place{Topic: delivery.Topic, Partition: delivery.Partition, Offset: delivery.Offset})
			}
		}
	}
	if c.Records == nil || len(places) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	found, _ := c.Records(ctx, places) // what is not found is said by the bill
	for _, e := range evidence {
		e.Records = found
	}
}
