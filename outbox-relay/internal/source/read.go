package source

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"waybill/outbox-relay/internal/cursor"
)

// InlinePayload is the longest payload, in bytes, that is read along with its row.
const InlinePayload = 8192

const (
	readTailName  = "outbox_read_tail"
	readHolesName = "outbox_read_holes"
)

// Index scan on outbox_pkey, from the cursor's end: its cost does not depend on what is below.
const readTailSQL = `
select ` + rowColumns + `
  from outbox
 where id >= $1
 order by id
 limit $2`

// Rows in the holes and rows above the cursor's end, in ONE statement and so in one snapshot. With two statements
// the relay would break the order of a key: (1) it reads the holes, and row 7 is not there yet; (2) the writer
// of row 7 commits; (3) another writer, having seen row 7, commits row 9 of the same key; (4) the relay reads
// above its end, finds row 9 and publishes it before row 7.
//
// One index scan a hole, then one above the end. The tail is cut to what the holes left of the limit.
const readHolesSQL = `
with early as materialized (
    select o.*
      from unnest($1::bigint[], $2::bigint[]) as hole (lo, hi)
     cross join lateral (select ` + rowColumns + ` from outbox where id >= hole.lo and id < hole.hi order by id limit $4) o
     order by o.id
     limit $4)
select * from early
union all
(select ` + rowColumns + `
  from outbox
 where id >= $3
 order by id
 limit greatest($4 - (select count(*) from early), 0))`

// Read reads visible rows that are not in taken, in id order and in one snapshot, at most limit. It hands each to
// row as it comes from the wire, so that Postgres goes on while the row is dealt with. The batch must be empty and
// have room for limit rows.
//
// On an error, rows handed over before it are rows like any other: each batch is a beginning of what was visible.
func (s *Session) Read(ctx context.Context, taken *cursor.Set, limit int, batch *Batch, row func(*Row)) error {
	end := strconv.FormatInt(taken.End(), 10)
	rows := strconv.Itoa(limit)
	holes := taken.Holes()
	var result *pgconn.ResultReader
	if len(holes) == 0 {
		result = s.conn.PgConn().ExecPrepared(ctx, readTailName, [][]byte{[]byte(end), []byte(rows)}, nil, binaryResults)
	} else {
		lows, highs := bounds(holes)
		result = s.conn.PgConn().ExecPrepared(ctx, readHolesName, [][]byte{lows, highs, []byte(end), []byte(rows)}, nil, binaryResults)
	}
	if err := s.scan(result, batch, row); err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	return nil
}

var binaryResults = []int16{1}

var errOrder = errors.New("rows came out of the order of their ids")

func (s *Session) scan(result *pgconn.ResultReader, batch *Batch, each func(*Row)) error {
	var failed error
	last := int64(-1)
	for result.NextRow() {
		if failed != nil {
			continue // the connection is only usable again when all rows are read
		}
		row, err := batch.add(result.Values(), &s.names)
		if err != nil {
			failed = err
			continue
		}
		// SQL does not promise that `union all` keeps the order; Postgres does keep it, and order is what we
		// promise, so this is checked rather than believed.
		if row.ID <= last {
			failed = errOrder
			continue
		}
		last = row.ID
		each(row)
	}
	_, err := result.Close()
	return errors.Join(err, failed)
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

const loadPayloadSQL = `select payload from outbox where id = $1`

// LoadPayload reads the payload of a deferred row. A row never changes, so this need not be the snapshot that the
// row was found in.
func (s *Session) LoadPayload(ctx context.Context, row *Row) error {
	payload := []byte{}
	if err := s.conn.QueryRow(ctx, loadPayloadSQL, row.ID).Scan(&payload); err != nil {
		return fmt.Errorf("read payload of outbox row %d: %w", row.ID, err)
	}
	row.Payload = payload
	return nil
}
