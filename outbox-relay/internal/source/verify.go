package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/outbox-relay/internal/cursor"
)

// SequenceError says that the cursor and the table do not belong together, or that the table
// assigns its ids in a way that the relay cannot follow, so that rows to come would count as
// published. Its text has the way out.
type SequenceError struct {
	Database string
	// Problem is what was found, and Remedy what to run.
	Problem, Remedy string
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("database %s: %s. %s. The relay goes on by itself then", e.Database, e.Problem, e.Remedy)
}

// The sequence belongs to a column that is its own, but may have been renamed or altered.
const sequenceSQL = `
select s.seqrelid::regclass::text, s.seqcache, s.seqincrement, s.seqcycle
  from pg_sequence s
 where s.seqrelid = pg_get_serial_sequence('public.outbox', 'id')::regclass`

// findSequence learns the name of the id sequence, and refuses one that hands out ids in another
// order than that in which they are asked for: with a cache, of two rows of one key the later may
// have the lower id, and a session keeps ids for transactions that have not begun.
func (s *Session) findSequence(ctx context.Context) error {
	var name string
	var cache, increment int64
	var cycle bool
	err := s.conn.QueryRow(ctx, sequenceSQL).Scan(&name, &cache, &increment, &cycle)
	if errors.Is(err, pgx.ErrNoRows) {
		return &SequenceError{
			s.database, "column id of the outbox has no sequence",
			"Run: alter table outbox alter column id add generated always as identity (cache 1)",
		}
	}
	if err != nil {
		return s.explain(fmt.Errorf("look at the id sequence of database %s: %w", s.database, err))
	}
	if cache != 1 || increment < 1 || cycle {
		return &SequenceError{
			s.database,
			fmt.Sprintf("the id sequence has cache %d, increment %d, cycle %t: ids must be handed out one by one and ascend, or the order of keys is lost", cache, increment, cycle),
			"Run: alter table outbox alter column id set cache 1 set increment by 1 set no cycle",
		}
	}
	// Not pg_sequence_last_value(): it takes the lock by which an allocator is known.
	s.allocatedSQL = "select case when is_called then last_value else last_value - 1 end from " + name
	return nil
}

// Witness is a row that was published, by which the table is known again: one that was truncated or
// restored has another row under its id, sooner or later.
type Witness struct {
	ID      int64
	EventID [16]byte
}

const (
	witnessSQL = `
select c.witness_id
  from public.outbox_cursor c
  join public.outbox o on o.id = c.witness_id
 where o.event_id <> c.witness_event_id`
	moveWitnessSQL = `
update public.outbox_cursor c
   set witness_id = $2, witness_event_id = $3
 where epoch = $1
   and not exists (select from public.outbox o where o.id = c.witness_id and o.event_id <> c.witness_event_id)`
	// Whether each of these ids, which were never handed out, has a row. There are few of them, or
	// none.
	inventedSQL = `
select count(*)
  from unnest($1::bigint[], $2::bigint[]) as invented (lo, hi)
 cross join lateral (select from public.outbox where id >= invented.lo and id < invented.hi limit $3) o`
	nextIDSQL = `select greatest($1, (select coalesce(max(id), 0) from public.outbox)) + 1`
)

// Verify returns a *SequenceError if ids are in published that were never handed out and have no
// row, or if the witness is another row now. Otherwise latest, unless it is nil, is the witness
// from here on: it is replaced only once it has been found as it was, or the rows that came after a
// truncate would testify for themselves.
func (s *Session) Verify(ctx context.Context, published *cursor.Set, latest *Witness) error {
	var allocated, witness int64
	err := s.conn.QueryRow(ctx, s.allocatedSQL).Scan(&allocated)
	if err != nil {
		return fmt.Errorf("read the id sequence of database %s: %w", s.database, err)
	}
	err = s.conn.QueryRow(ctx, witnessSQL).Scan(&witness)
	if err == nil {
		return s.replaced(witness)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return s.explain(fmt.Errorf("look at the last published row of database %s: %w", s.database, err))
	}
	if published.End()-1 > allocated {
		if err := s.verifyInvented(ctx, published, allocated); err != nil {
			return err
		}
	}
	if latest == nil {
		return nil
	}
	if _, err := s.conn.Exec(ctx, moveWitnessSQL, s.epoch, latest.ID, latest.EventID); err != nil {
		return fmt.Errorf("note the last published row of database %s: %w", s.database, err)
	}
	return nil
}

// A row may have an id that was set by hand, above those that were handed out. The primary key
// keeps the sequence from handing out that id, as long as the row is there: retention leaves it
// alone.
const (
	inventedRanges = 1000
	inventedRows   = 100_000
)

func (s *Session) verifyInvented(ctx context.Context, published *cursor.Set, allocated int64) error {
	ids := published.Intersect(cursor.Of(cursor.Range{Lo: allocated + 1, Hi: published.End()})).Ranges()
	ids = ids[:min(len(ids), inventedRanges)]
	lows, highs, expected := make([]int64, len(ids)), make([]int64, len(ids)), int64(0)
	for i, r := range ids {
		lows[i], highs[i] = r.Lo, r.Hi
		expected += min(r.Hi-r.Lo, inventedRows)
	}
	var rows int64
	if err := s.conn.QueryRow(ctx, inventedSQL, lows, highs, inventedRows).Scan(&rows); err != nil {
		return fmt.Errorf("look for rows above the id sequence of database %s: %w", s.database, err)
	}
	if rows >= expected {
		return nil
	}
	var next int64
	if err := s.conn.QueryRow(ctx, nextIDSQL, published.End()-1).Scan(&next); err != nil {
		return fmt.Errorf("look for the highest id of database %s: %w", s.database, err)
	}
	return &SequenceError{
		s.database,
		fmt.Sprintf("ids up to %d count as published, but the table has handed out only %d and has no rows for the others: it was truncated, "+
			"or restored without its cursor", published.End()-1, allocated),
		fmt.Sprintf("To go on above them, if what the table holds has been sent, run: alter table outbox alter column id restart with %d. %s", next, publishAll),
	}
}

// What was quarantined or given up belongs to rows that are no longer there.
const publishAll = "To publish what the table holds now, all of it, run: " +
	"update public.outbox_cursor set published = '{}', witness_id = null, witness_event_id = null; delete from public.outbox_closed; delete from public.outbox_stuck"

func (s *Session) replaced(witness int64) error {
	return &SequenceError{
		s.database,
		fmt.Sprintf("row %d was published, and is another row now: the table was truncated, or restored without its cursor", witness),
		"If what the table holds has been sent, run: update outbox_cursor set witness_id = null, witness_event_id = null. " + publishAll,
	}
}
