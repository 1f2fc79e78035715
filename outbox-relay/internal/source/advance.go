package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill/outbox-relay/internal/cursor"
)

// Stuck is a row set aside: refused by the broker, or parked behind an earlier row of its key.
type Stuck struct {
	ID     int64
	Key    *string
	Topic  string
	Parked bool
	Code   string
	Error  string
}

// Step is what a leader has settled since its last step.
type Step struct {
	// Settled are ids that need not be read again: acknowledged, set aside, or closed.
	Settled *cursor.Set
	// Closed are the ids among them that were given up as rolled back.
	Closed *cursor.Set
	// Stuck are the rows among them that were set aside.
	Stuck []Stuck
}

const (
	// One row by its only index; the merge of the ranges is the server's, so the statement stays small.
	advanceSQL = `
update outbox_cursor
   set published = published + $2::text::int8multirange, updated_at = now()
 where epoch = $1
returning paused`
	closeHolesSQL = `insert into outbox_closed (ids) values ($1::text::int8multirange)`
	setAsideSQL   = `
insert into outbox_stuck (outbox_id, key, topic, parked, error_code, error, attempts, last_attempt_at, next_attempt_at)
select id, key, topic, parked, code, error,
       case when parked then 0 else 1 end,
       case when parked then null else now() end,
       case when parked then null else now() + interval '1 second' end
  from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
       as r (id, key, topic, parked, code, error)
on conflict (outbox_id) do nothing`
)

// Advance makes a step durable, all of it or nothing, and says whether an operator has paused the source. It
// returns ErrDeposed if the session's term is over.
func (s *Session) Advance(ctx context.Context, step Step) (paused bool, err error) {
	if len(step.Stuck) == 0 && (step.Closed == nil || step.Closed.Empty()) {
		return s.moveCursor(ctx, s.conn, step.Settled)
	}
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if paused, err = s.moveCursor(ctx, tx, step.Settled); err != nil {
			return err
		}
		if step.Closed != nil && !step.Closed.Empty() {
			if _, err := tx.Exec(ctx, closeHolesSQL, step.Closed.String()); err != nil {
				return fmt.Errorf("remember closed holes: %w", err)
			}
		}
		return setAside(ctx, tx, step.Stuck)
	})
	return paused, err
}

type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (s *Session) moveCursor(ctx context.Context, on queryer, settled *cursor.Set) (paused bool, err error) {
	err = on.QueryRow(ctx, advanceSQL, s.epoch, settled.String()).Scan(&paused)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, ErrDeposed
	}
	if err != nil {
		return false, fmt.Errorf("move the cursor of database %s: %w", s.database, err)
	}
	return paused, nil
}

func setAside(ctx context.Context, tx pgx.Tx, rows []Stuck) error {
	if len(rows) == 0 {
		return nil
	}
	var (
		ids                  = make([]int64, len(rows))
		keys                 = make([]*string, len(rows))
		parked               = make([]bool, len(rows))
		topics, codes, texts = make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	)
	for i, r := range rows {
		ids[i], keys[i], topics[i], parked[i], codes[i], texts[i] = r.ID, r.Key, r.Topic, r.Parked, r.Code, r.Error
	}
	if _, err := tx.Exec(ctx, setAsideSQL, ids, keys, topics, parked, codes, texts); err != nil {
		return fmt.Errorf("set rows aside: %w", err)
	}
	return nil
}
