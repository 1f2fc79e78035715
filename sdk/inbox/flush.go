package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/internal/setup"
)

// Flush writes the positions that lag, in a transaction of its own, if there are any. Where none
// lags, it looks from time to time whether they are as they were written: a consumer that no
// message comes to would not notice otherwise that the database lacks what it has done. An error
// that [Rewound] recognises says that the database went back; after any other it may be tried
// again.
func (p *Positions) Flush(ctx context.Context) error {
	c := p.flushing()
	defer p.ended(c)
	if len(c.written) == 0 {
		return p.verify(ctx)
	}
	batch := &pgx.Batch{} // one transaction
	c.check(batch, p.consumer)
	c.move(batch, p.consumer)
	c.place(batch, p.consumer)
	if err := p.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write positions of %s: %w", p.consumer, setup.Explain(err))
	}
	p.flushed(c)
	return nil
}

// verifyEvery is how often [Positions.Flush] verifies the positions of an idle consumer, in
// intervals of [Positions.Defer]: every ten seconds where that is 250 ms.
const verifyEvery = 40

const verifySQL = `
select inbox_expect_positions(count(*), cardinality($2))
from consumer_positions as p
join unnest($2::text[], $3::int[], $4::bigint[]) as n (topic, "partition", written) on p.topic = n.topic and p."partition" = n."partition"
where p.consumer = $1 and p.next_offset >= n.written`

func (p *Positions) verify(ctx context.Context) error {
	c := p.verifying(time.Now())
	if len(c.topics) == 0 {
		return nil
	}
	if _, err := p.db.Exec(ctx, verifySQL, p.consumer, c.topics, c.partitions, c.written); err != nil {
		return fmt.Errorf("verify positions of %s: %w", p.consumer, setup.Explain(err))
	}
	return nil
}

// verifying returns the positions that it is time to verify: all that are written and do not lag.
func (p *Positions) verifying(now time.Time) (c positionColumns) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.interval == 0 || now.Sub(p.verified) < verifyEvery*p.interval {
		return c
	}
	p.verified = now
	for partition, known := range p.partitions {
		if known.stored && !known.lagging {
			c.add(position{Partition: partition}, known.written, known.at)
		}
	}
	return c
}

func (p *Positions) flushing() (c positionChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moving {
		return c // a batch writes them
	}
	c.at = time.Now().Truncate(time.Microsecond)
	for _, a := range p.withLagging(nil) {
		c.write(a, p.partitions[a.Partition])
	}
	c.began, c.witnesses, c.turn, p.moving = p.commits, p.witnesses(c.written), true, true
	return c
}

// flushed notes what Flush has written. The positions themselves are the witness now: the next
// batch moves them, and fails where they have gone back.
func (p *Positions) flushed(c positionChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range c.written {
		known := p.partitions[a.Partition]
		if known == nil || known.commit > c.began {
			continue // given up, or a batch was committed meanwhile
		}
		known.written, known.at, known.stored = a.next, c.at, true
		known.lagging, known.witness = false, uuid.Nil
	}
	p.moved = time.Now()
}

// Written returns the position of a partition that is in the database for certain, and whether
// there is one.
func (p *Positions) Written(partition Partition) (next int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.partitions[partition]
	if known == nil || !known.stored {
		return 0, false
	}
	return known.written, true
}

// Forget drops what is known of partitions that were given up: another process writes their
// positions.
func (p *Positions) Forget(partitions ...Partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, partition := range partitions {
		delete(p.partitions, partition)
	}
}
