package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/internal/setup"
)

// Partition names a partition of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Span is where the messages of a partition are: from offset First on, all before End.
type Span struct{ First, End int64 }

// Positions is how far a consumer has come in each partition, stored in the database that has the
// effects. Kafka's committed offsets can be ahead of a database that was restored or failed over to
// an earlier moment. A consumer that starts to read at the smaller of the two reads again what the
// database has lost, and the inbox recognises the rest.
//
// It also notices when the database goes back while the consumer runs: [Processor.Process] then
// fails with an error that [Rewound] recognises, until the consumer has asked for its positions
// again and reads from there.
//
// Positions are written in the transaction of each batch, or, after [Positions.Defer], at
// intervals: a position that lags behind the effects has messages read again, and none lost.
//
// One Positions belongs to one consumer process; its [Processor] and the code that assigns
// partitions share it. It is safe for concurrent use.
type Positions struct {
	consumer string
	db       *pgxpool.Pool

	mu         sync.Mutex
	partitions map[Partition]*progress
	interval   time.Duration // for how long positions may lag; 0: not at all
	moved      time.Time     // when they were last moved
	moving     bool          // a transaction moves them
	verified   time.Time     // when those of an idle consumer were last verified
	commits    int64         // batches that were committed
}

// progress is what this process knows of one partition.
type progress struct {
	// written is what it has last seen in the table, by reading or by a commit of its own. The
	// table may be ahead of it (a commit whose answer was lost), but never behind.
	written int64
	at      time.Time // of that writing, as the row has it
	stored  bool      // whether the table has a row
	// latest is where the last batch left the partition, where that is not written yet.
	latest  position
	lagging bool
	// witness is a message of a batch that was committed after latest was set, or with it: while
	// the inbox has it, the database has not gone back behind latest. It is uuid.Nil where written
	// says as much.
	witness uuid.UUID
	commit  int64 // the batch of the witness, counted from 1
}

// NewPositions returns the positions of a consumer whose effects are in db.
func NewPositions(db *pgxpool.Pool, consumer string) *Positions {
	return &Positions{consumer: consumer, db: db, partitions: make(map[Partition]*progress)}
}

// Defer lets positions lag behind the effects for the interval, which saves most of what they cost.
// The caller then has to call [Positions.Flush] when no messages come, and [Positions.Forget] when
// partitions are given up.
func (p *Positions) Defer(interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interval = interval
}

const readPositionsSQL = `
select topic, "partition", next_offset, updated_at
from consumer_positions
where consumer = $1 and (topic, "partition") in (select * from unnest($2::text[], $3::int[]))`

type storedPosition struct {
	Topic     string
	Partition int32
	Next      int64
	At        time.Time
}

// Read returns the next offset of those of the given partitions that the database knows.
func (p *Positions) Read(ctx context.Context, partitions []Partition) (map[Partition]int64, error) {
	topics, numbers := make([]string, len(partitions)), make([]int32, len(partitions))
	for i, partition := range partitions {
		topics[i], numbers[i] = partition.Topic, partition.Partition
	}
	rows, err := p.db.Query(ctx, readPositionsSQL, p.consumer, topics, numbers)
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", p.consumer, setup.Explain(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[storedPosition])
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", p.consumer, setup.Explain(err))
	}
	found := make(map[Partition]int64, len(list))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, partition := range partitions {
		p.partitions[partition] = &progress{}
	}
	for _, s := range list {
		partition := Partition{s.Topic, s.Partition}
		found[partition] = s.Next
		p.partitions[partition] = &progress{written: s.Next, at: s.At, stored: true}
	}
	return found, nil
}

// codeRewound is what inbox_expect_positions raises.
const codeRewound = "WB001"

// Rewound reports whether err says that the database has an earlier position than this process has
// written: it was restored or failed over. The consumer has to ask for its positions and read
// again.
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
	slices.SortFunc(after, byPartition)
	return after
}

func byPartition(a, b position) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition))
}

// A position of which this process does not know is taken over as it stands.
const placeSQL = `
insert into consumer_positions (consumer, topic, "partition", next_offset, read_until, updated_at)
select $1, topic, "partition", next_offset, read_until, $6
from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[]) as n (topic, "partition", next_offset, read_until)
on conflict (consumer, topic, "partition") do update
set next_offset = excluded.next_offset, read_until = excluded.read_until, updated_at = excluded.updated_at`

// A position that this process has written must not have gone back since: then fewer are moved than
// were to be, and the statement fails. It may go back now: a topic that was deleted and made again
// begins at 0. But what another process has written meanwhile is not taken back, not even where it
// wrote the same offset again: a process that was frozen and lost its partitions commits its last
// batch late, and deadlines wait until all before the position has been read.
const moveSQL = `
with moved as (
    update consumer_positions as p
    set next_offset = n.next_offset, read_until = n.read_until, updated_at = $6
    from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[], $7::bigint[], $8::timestamptz[])
      as n (topic, "partition", next_offset, read_until, written, written_at)
    where p.consumer = $1 and p.topic = n.topic and p."partition" = n."partition" and p.next_offset >= n.written
      and (p.next_offset <= n.next_offset or p.next_offset = n.written and p.updated_at = n.written_at)
    returning 1)
select inbox_expect_positions(count(*), cardinality($2)) from moved`

// positionChange is what a transaction does to the positions.
type positionChange struct {
	batch        []position // where the batch leaves its partitions
	written      []position // those that are written, of other partitions too; others lag
	known, fresh positionColumns
	witnesses    []uuid.UUID // messages that the inbox must have
	at           time.Time   // when they are written, as precisely as the table has it
	began        int64       // batches that were committed before
	turn         bool        // no other transaction moves positions until this one has ended
}

// change decides which positions are written along with a batch: at intervals, those of its
// partitions and all others that lag; those that have no row yet; and, where the batch has effects,
// those whose row alone shows that the database has not gone back. A nil Positions knows no row,
// and none of its positions lags. [Positions.ended] has to be called.
func (p *Positions) change(after []position, effects bool, now time.Time) (c positionChange) {
	c.at = now.Truncate(time.Microsecond)
	if p == nil {
		for _, a := range after {
			c.write(a, nil)
		}
		return c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.batch, c.began = after, p.commits
	moves := p.interval == 0 || p.takeTurn(&c, now)
	if moves {
		after = p.withLagging(after)
	}
	for _, a := range after {
		known := p.partitions[a.Partition]
		if moves || known == nil || !known.stored || effects && known.witness == uuid.Nil {
			c.write(a, known)
		}
	}
	c.witnesses = p.witnesses(c.batch, c.written)
	return c
}

// takeTurn says whether it is time to move positions. One transaction does it at a time: a later
// one of the same process would look like another process that is ahead.
func (p *Positions) takeTurn(c *positionChange, now time.Time) bool {
	if p.moving || now.Sub(p.moved) < p.interval {
		return false
	}
	p.moving, c.turn = true, true
	return true
}

// ended gives the turn back, whatever became of the transaction.
func (p *Positions) ended(c positionChange) {
	if p == nil || !c.turn {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving = false
}

// withLagging adds the positions that lag, of other partitions, in an order that keeps two
// transactions from deadlocking.
func (p *Positions) withLagging(after []position) []position {
	all := slices.Clone(after)
	for partition, known := range p.partitions {
		if known.lagging && !slices.ContainsFunc(after, func(a position) bool { return a.Partition == partition }) {
			all = append(all, known.latest)
		}
	}
	slices.SortFunc(all, byPartition)
	return all
}

// witnesses returns the witnesses of partitions, each once: usually there is one.
func (p *Positions) witnesses(lists ...[]position) []uuid.UUID {
	var ids []uuid.UUID
	for _, list := range lists {
		for _, a := range list {
			known := p.partitions[a.Partition]
			if known != nil && known.witness != uuid.Nil && !slices.Contains(ids, known.witness) {
				ids = append(ids, known.witness)
			}
		}
	}
	return ids
}

// write has a position written: moved where this process knows its row, and otherwise placed.
func (c *positionChange) write(a position, known *progress) {
	c.written = append(c.written, a)
	if known != nil && known.stored {
		c.known.add(a, known.written, known.at)
	} else {
		c.fresh.add(a, 0, time.Time{})
	}
}

// move queues what moves the positions that this process has written before.
func (c *positionChange) move(batch *pgx.Batch, consumer string) {
	if k := &c.known; len(k.topics) > 0 {
		batch.Queue(moveSQL, consumer, k.topics, k.partitions, k.next, k.until, c.at, k.written, k.writtenAt)
	}
}

// place queues what stores the others.
func (c *positionChange) place(batch *pgx.Batch, consumer string) {
	if f := &c.fresh; len(f.topics) > 0 {
		batch.Queue(placeSQL, consumer, f.topics, f.partitions, f.next, f.until, c.at)
	}
}

const witnessSQL = `
select inbox_expect_positions(count(*), cardinality($2::uuid[])) from inbox where consumer = $1 and event_id = any($2::uuid[])`

// check queues what fails where the database lacks a batch that was committed.
func (c *positionChange) check(batch *pgx.Batch, consumer string) {
	if len(c.witnesses) > 0 {
		batch.Queue(witnessSQL, consumer, rawIDs(c.witnesses))
	}
}

// positionColumns is positions as one array per column.
type positionColumns struct {
	topics     []string
	partitions []int32
	next       []int64
	until      pgtype.FlatArray[*time.Time]
	written    []int64
	writtenAt  []time.Time
}

func (c *positionColumns) add(p position, written int64, at time.Time) {
	c.topics, c.partitions = append(c.topics, p.Topic), append(c.partitions, p.Partition.Partition)
	c.next, c.written, c.writtenAt = append(c.next, p.next), append(c.written, written), append(c.writtenAt, at)
	var until *time.Time
	if !p.until.IsZero() {
		until = &p.until
	}
	c.until = append(c.until, until)
}

// committed remembers what is in the database now. witness is a message of the batch that the inbox
// has recorded; uuid.Nil where it has recorded none.
func (p *Positions) committed(c positionChange, witness uuid.UUID, now time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range c.batch {
		known := p.of(a.Partition)
		known.latest, known.lagging = a, true
	}
	for _, a := range c.written {
		known := p.of(a.Partition)
		known.written, known.at, known.stored = a.next, c.at, true
		// A batch that was committed meanwhile may have left another partition further on.
		known.lagging = known.lagging && known.latest.next != a.next
	}
	if c.turn {
		p.moved = now
	}
	if witness == uuid.Nil || p.interval == 0 {
		return
	}
	p.commits++
	for _, a := range c.batch {
		known := p.of(a.Partition)
		known.witness, known.commit = witness, p.commits
	}
	// What was committed before this batch began comes before it in the database's log: where the
	// batch is, it is. A batch that was committed meanwhile needs its own witness.
	for _, known := range p.partitions {
		if known.witness != uuid.Nil && known.commit <= c.began {
			known.witness, known.commit = witness, p.commits
		}
	}
}

func (p *Positions) of(partition Partition) *progress {
	known := p.partitions[partition]
	if known == nil {
		known = &progress{}
		p.partitions[partition] = known
	}
	return known
}
