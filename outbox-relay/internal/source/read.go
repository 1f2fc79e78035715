package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/outbox-relay/internal/cursor"
)

const (
	readTailName  = "outbox_read_tail"
	readGapsName  = "outbox_read_gaps"
	readGatedName = "outbox_read_gated"
)

// Index scan on outbox_pkey, from the cursor's end: its cost does not depend on what is below.
const readTailSQL = `
select ` + rowColumns + `
  from public.outbox
 where id >= $1
 order by id
 limit $2`

// Rows in the gaps and rows above the cursor's end, in ONE statement and so in one snapshot. With
// two statements the relay would break the order of a key: (1) it reads the gaps, and row 7 is not
// there yet; (2) the writer of row 7 commits; (3) another writer, having seen row 7, commits row 9
// of the same key; (4) the relay reads above its end, finds row 9 and publishes it before row 7.
//
// One index scan per gap, in their order and until there are enough rows, then one above the end.
// The tail is cut to what the gaps left of the limit.
const readGapsSQL = `
with early as materialized (
    select o.*
      from unnest($1::bigint[], $2::bigint[]) as gap (lo, hi)
     cross join lateral (select ` + rowColumns + ` from public.outbox where id >= gap.lo and id < gap.hi order by id limit $4) o
     limit $4)
select * from early
union all
(select ` + rowColumns + `
  from public.outbox
 where id >= $3
 order by id
 limit greatest($4 - (select count(*) from early), 0))`

// The same without looking into all gaps: those that were looked into before, and that only these
// transactions could have filled since, are still empty if none of the transactions is finished in
// the snapshot that this statement reads by. That is exact, as a look at locks or sessions would
// not be: a transaction is visible before its locks are gone. If one is finished, the statement
// returns no row but a marker, and the gaps have to be looked into.
const readGatedSQL = `
with gate as materialized (
    select not exists (select from unnest($5::xid8[]) as xid where pg_visible_in_snapshot(xid, pg_current_snapshot())) as shut),
early as materialized (
    select o.*
      from unnest($1::bigint[], $2::bigint[]) as gap (lo, hi)
     cross join lateral (select ` + rowColumns + ` from public.outbox where id >= gap.lo and id < gap.hi order by id limit $4) o
     where (select shut from gate)
     limit $4)
select * from early
union all
(select ` + rowColumns + `
  from public.outbox
 where id >= $3 and (select shut from gate)
 order by id
 limit greatest($4 - (select count(*) from early), 0))
union all
select 0, '00000000-0000-0000-0000-000000000000', '', null, '', null, '{}', now(), null::bigint
  from gate
 where not shut`

// NoID is above every id that a row can have.
const NoID = math.MaxInt64

// Reading says where to look for rows.
type Reading struct {
	// Gaps are ranges of ids below End that may have rows by now, ascending.
	Gaps []cursor.Range
	// Unfinished are transactions, by id, that alone could fill the gaps below End that are not
	// among Gaps.
	Unfinished []int64
	// End is the id from which on every row is new, or NoID to look into gaps only.
	End int64
	// Covered is the id below which the read finds all there is, if it finds fewer rows than Limit.
	Covered int64
	// Limit is the most rows to read.
	Limit int
}

// Read reads visible rows in id order and in one snapshot. It hands each to row as it comes from
// the wire, so that Postgres goes on while the row is dealt with. The batch must be empty and have
// room for Limit rows. It returns false, having read nothing, if one of Unfinished has finished.
//
// On an error, rows handed over before it are rows like any other: each batch is a beginning of
// what was visible.
func (s *Session) Read(ctx context.Context, r Reading, batch *Batch, row func(*Row)) (complete bool, err error) {
	end := strconv.AppendInt(nil, r.End, 10)
	limit := strconv.AppendInt(nil, int64(r.Limit), 10)
	var result *pgconn.ResultReader
	if len(r.Gaps) == 0 && len(r.Unfinished) == 0 {
		result = s.conn.PgConn().ExecPrepared(ctx, readTailName, [][]byte{end, limit}, nil, binaryResults)
	} else {
		lows, highs := bounds(r.Gaps)
		name, args := readGapsName, [][]byte{lows, highs, end, limit}
		if len(r.Unfinished) > 0 {
			name, args = readGatedName, append(args, array(r.Unfinished))
		}
		result = s.conn.PgConn().ExecPrepared(ctx, name, args, nil, binaryResults)
	}
	if complete, err = s.scan(result, batch, row); err != nil {
		return false, fmt.Errorf("read outbox: %w", err)
	}
	return complete, nil
}

var binaryResults = []int16{1}

var errOrder = errors.New("rows came out of the order of their ids")

func (s *Session) scan(result *pgconn.ResultReader, batch *Batch, each func(*Row)) (complete bool, err error) {
	var failed error
	last := int64(0)
	complete = true
	for result.NextRow() {
		if failed != nil {
			continue // the connection is only usable again when all rows are read
		}
		if isMarker(result.Values()) {
			complete = false
			continue
		}
		row, err := batch.add(result.Values(), &s.names)
		if err != nil {
			failed = err
			continue
		}
		// SQL does not promise that a join or `union all` keeps the order; Postgres does keep it,
		// and order is what we promise, so this is checked rather than believed.
		if row.ID <= last {
			failed = errOrder
			continue
		}
		last = row.ID
		each(row)
	}
	_, err = result.Close()
	return complete, errors.Join(err, failed)
}

// isMarker says whether a row is the marker of readGatedSQL. No row of the table has the id 0.
func isMarker(columns [][]byte) bool {
	return len(columns) > 0 && len(columns[0]) == 8 && binary.BigEndian.Uint64(columns[0]) == 0
}

// bounds returns the lower and the upper bounds of ranges as the text of two bigint[].
func bounds(ranges []cursor.Range) (lows, highs []byte) {
	lows, highs = append(lows, '{'), append(highs, '{')
	for i, r := range ranges {
		if i > 0 {
			lows, highs = append(lows, ','), append(highs, ',')
		}
		lows, highs = strconv.AppendInt(lows, r.Lo, 10), strconv.AppendInt(highs, r.Hi, 10)
	}
	return append(lows, '}'), append(highs, '}')
}

// array returns numbers as the text of an array.
func array(numbers []int64) []byte {
	text := []byte{'{'}
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return append(text, '}')
}

const loadBodiesSQL = `select id, payload, headers from public.outbox where id = any($1::bigint[])`

// LoadBodies reads the payloads and headers of deferred rows. A row never changes, so this need not
// be the snapshot that the rows were found in. Rows that are not there any more stay unloaded:
// somebody has deleted them.
func (s *Session) LoadBodies(ctx context.Context, deferred []*Row) error {
	if len(deferred) == 0 {
		return nil
	}
	ids := make([]int64, len(deferred))
	byID := make(map[int64]*Row, len(deferred))
	for i, row := range deferred {
		ids[i], byID[row.ID] = row.ID, row
	}
	rows, err := s.conn.Query(ctx, loadBodiesSQL, pgx.QueryResultFormats{1, 1, 1}, ids)
	if err != nil {
		return fmt.Errorf("read payloads of outbox rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		values := rows.RawValues()
		row := byID[int64(binary.BigEndian.Uint64(values[0]))]
		row.Payload, row.Headers = append([]byte{}, values[1]...), append([]byte{}, object(values[2])...)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read payloads of outbox rows: %w", err)
	}
	return nil
}
