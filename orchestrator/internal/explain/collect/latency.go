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

// Sagas that have ended, the newest first; no more are counted than a sample can stand for. The
// index sagas_started has them in this order.
const endedSQL = `
select definition, id from sagas where started_at >= $1 and ended_at is not null
order by started_at desc, id desc limit 100000`

// Latency looks at a sample of the sagas that began since a time and have ended, and adds up where
// their time went. It reads, and asks the relay twice for each.
func (c *Collector) Latency(ctx context.Context, since, now time.Time, sample int) (explain.Latency, error) {
	rows, err := c.Sagas.DB().Query(ctx, endedSQL, since)
	if err != nil {
		return explain.Latency{}, fmt.Errorf("choose sagas: %w", err)
	}
	refs, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (ref saga.Ref, err error) {
		return ref, r.Scan(&ref.Definition, &ref.ID)
	})
	if err != nil {
		return explain.Latency{}, fmt.Errorf("choose sagas: %w", err)
	}
	chosen := spread(refs, sample)
	evidence := c.evidence(ctx, chosen, now)
	c.records(ctx, evidence...)
	var bills []*explain.Bill
	for _, e := range evidence {
		if bill := e.Bill(); bill != nil {
			bills = append(bills, bill)
		}
	}
	l := explain.Summarize(bills)
	l.Since, l.Of = since, len(refs)
	if len(bills) < len(chosen) {
		l.Notes = append(l.Notes, fmt.Sprintf("%d of %d sagas were not looked at: the time for the answer was over, or nothing of them is known.", len(chosen)-len(bills), len(chosen)))
	}
	return l, nil
}

// spread returns at most n, evenly spread.
func spread[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	chosen := make([]T, n)
	for i := range chosen {
		chosen[i] = all[i*len(all)/n]
	}
	return chosen
}

// evidence collects what is known of sagas, as long as there is time; the records are not read yet.
func (c *Collector) evidence(ctx context.Context, refs []saga.Ref, now time.Time) []*explain.Evidence {
	all := make([]*explain.Evidence, len(refs))
	next := make(chan int)
	var working sync.WaitGroup
	for range latencyWorkers {
		working.Go(func() {
			for i := range next {
				e := &explain.Evidence{ID: refs[i].ID, Now: now.UTC(), Registry: c.Sagas.Registry()}
				state, history, err := c.Sagas.Get(ctx, refs[i])
				if err != nil {
					continue
				}
				e.Saga, e.History = &state, history
				c.collect(ctx, e)
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
