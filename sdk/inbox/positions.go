package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Partition names a partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Positions is how far a consumer has come in each partition, kept in the database that has the
// effects. Kafka's committed offsets can be ahead of a database that was restored or failed over to
// an earlier moment. A consumer that starts to read at the smaller of the two reads again what the
// database has lost, and the inbox recognises the rest.
//
// It also notices when the database goes back while the consumer runs: [Processor.Process] then
// fails with an error that [Rewound] recognises, until the consumer has asked for its positions
// again and reads from there.
//
// One Positions belongs to one consumer process; its [Processor] and the code that assigns partitions
// share it. It is safe for concurrent use.
type Positions struct {
	consumer string
	db       *pgxpool.Pool

	mu sync.Mutex
	// written is what this process has last seen in the table, by reading or by a commit of its own.
	// The table may be ahead of it (a commit whose answer was lost), but never behind.
	written map[Partition]int64
}

// NewPositions returns the positions of a consumer whose effects are in db.
func NewPositions(db *pgxpool.Pool, consumer string) *Positions {
	return &Positions{consumer: consumer, db: db, written: make(map[Partition]int64)}
}

const readPositionsSQL = `
select topic, "partition", next_offset
from consumer_positions
where consumer = $1 and (topic, "partition") in (select * from unnest($2::text[], $3::int[]))`

type storedPosition struct {
	Topic     string
	Partition int32
	Next      int64
}

// Read returns the next offset of those of the given partitions that the database knows.
func (p *Positions) Read(ctx context.Context, partitions []Partition) (map[Partition]int64, error) {
	topics, numbers := make([]string, len(partitions)), make([]int32, len(partitions))
	for i, partition := range partitions {
		topics[i], numbers[i] = partition.Topic, partition.Partition
	}
	rows, err := p.db.Query(ctx, readPositionsSQL, p.consumer, topics, numbers)
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", p.consumer, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[storedPosition])
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", p.consumer, err)
	}
	found := make(map[Partition]int64, len(list))
	for _, s := range list {
		found[Partition{s.Topic, s.Partition}] = s.Next
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, partition := range partitions {
		delete(p.written, partition)
	}
	maps.Copy(p.written, found)
	return found, nil
}

// codeRewound is what inbox_expect_positions raises.
const codeRewound = "WB001"

// Rewound reports whether err says that the database has an earlier position than this process has
// written: it was restored or failed over. The consumer has to ask for its positions and read again.
func Rewound(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == codeRewound
}

// position is where a batch leaves one partition.
type position struct {
	Partition
	next int64
	// until is the time of the newest message of the batch; zero where none of them has one.
	until time.Time
}

// positionsAfter returns where a batch leaves its partitions, in an order that keeps two
// transactions from deadlocking.
func positionsAfter(batch []Delivery, now time.Time) []position {
	after := make([]position, 0, 4)
	for _, d := range batch {
		next := d.Resume
		if next == 0 {
			next = d.Offset + 1
		}
		// A producer's clock, or a forger, may be far ahead.
		at := d.Time
		if at.After(now) {
			at = now
		}
		partition := Partition{d.Topic, d.Partition}
		i := slices.IndexFunc(after, func(p position) bool { return p.Partition == partition })
		switch {
		case i < 0:
			after = append(after, position{partition, next, at})
			continue
		case d.Resume == 0:
			after[i].next = max(after[i].next, next)
		}
		if at.After(after[i].until) {
			after[i].until = at
		}
	}
	slices.SortFunc(after, func(a, b position) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition))
	})
	return after
}

// A position of which this process does not know is taken over as it stands.
const placeSQL = `
insert into consumer_positions (consumer, topic, "partition", next_offset, read_until)
select $1, topic, "partition", next_offset, read_until
from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[]) as n (topic, "partition", next_offset, read_until)
on conflict (consumer, topic, "partition") do update
set next_offset = excluded.next_offset, read_until = excluded.read_until, updated_at = now()`

// moved moves positions. One that this process has written must not have gone back since: then fewer
// are moved than were to be, and allMoved fails. It may go back now: a topic that was deleted and made
// again begins at 0. But what another process has written meanwhile is not taken back: a process that was
// frozen and lost its partitions commits its last batch late, and deadlines wait until all before the
// position has been read.
const (
	moved = `
with moved as (
    update consumer_positions as p
    set next_offset = n.next_offset, read_until = n.read_until, updated_at = now()
    from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[], $6::bigint[])
      as n (topic, "partition", next_offset, read_until, written)
    where p.consumer = $1 and p.topic = n.topic and p."partition" = n."partition"
      and p.next_offset >= n.written and (p.next_offset = n.written or p.next_offset <= n.next_offset)
    returning 1)`
	allMoved = `
(select case when count(*) = cardinality($2) then true else inbox_expect_positions(count(*), cardinality($2)) is null end
 from moved)`
	moveSQL = moved + `
select` + allMoved
)

// positionChange is positions as the statements take them.
type positionChange struct {
	known, fresh positionColumns
}

// change sorts positions into those that this process has written, which are moved, and others. A nil
// Positions knows none.
func (p *Positions) change(after []position) (c positionChange) {
	for _, a := range after {
		if written, ok := p.lastWritten(a.Partition); ok {
			c.known.add(a, written)
		} else {
			c.fresh.add(a, 0)
		}
	}
	return c
}

// place queues what stores the positions that this process has not written before.
func (c *positionChange) place(batch *pgx.Batch, consumer string) {
	if f := &c.fresh; len(f.topics) > 0 {
		batch.Queue(placeSQL, consumer, f.topics, f.partitions, f.next, f.until)
	}
}

// positionColumns is positions as one array per column.
type positionColumns struct {
	topics     []string
	partitions []int32
	next       []int64
	until      pgtype.FlatArray[*time.Time]
	written    []int64
}

func (c *positionColumns) args(consumer string) []any {
	return []any{consumer, c.topics, c.partitions, c.next, c.until, c.written}
}

func (c *positionColumns) add(p position, written int64) {
	c.topics, c.partitions = append(c.topics, p.Topic), append(c.partitions, p.Partition.Partition)
	c.next, c.written = append(c.next, p.next), append(c.written, written)
	var until *time.Time
	if !p.until.IsZero() {
		until = &p.until
	}
	c.until = append(c.until, until)
}

func (p *Positions) lastWritten(partition Partition) (int64, bool) {
	if p == nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	written, ok := p.written[partition]
	return written, ok
}

// committed remembers positions that are in the database now.
func (p *Positions) committed(after []position) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range after {
		p.written[a.Partition] = a.next
	}
}
