package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Replay is a job to send published rows again.
type Replay struct {
	ID     int64
	Topic  *string // nil: where each row went
	Rate   int
	LastID int64
	Selection
}

const (
	takeReplaySQL = `
update public.outbox_replay
   set state = 'running'
 where id = (select min(id) from public.outbox_replay where state in ('waiting', 'running'))
   and exists (select from public.outbox_cursor where epoch = $1 and not paused)
returning id, topic, rate, last_id, from_id, to_id, key, since, until`
	advanceReplaySQL = `
update public.outbox_replay
   set sent = sent + $3, last_id = $4
 where id = $2 and state = 'running' and exists (select from public.outbox_cursor where epoch = $1 and not paused)`
	finishReplaySQL = `
update public.outbox_replay
   set state = $3, finished_at = now(),
       error = case when $4 <> '' then $4
                    when sent < total then format('%s of %s rows were gone before they could be sent again', total - sent, total)
                    else '' end
 where id = $2 and state = 'running' and exists (select from public.outbox_cursor where epoch = $1)`
)

// TakeReplay returns the job to work on, the oldest that is not finished, and false if there is
// none.
func (s *Session) TakeReplay(ctx context.Context) (Replay, bool, error) {
	var r Replay
	err := s.conn.QueryRow(ctx, takeReplaySQL, s.epoch).Scan(&r.ID, &r.Topic, &r.Rate, &r.LastID, &r.FromID, &r.ToID, &r.Key, &r.Since, &r.Until)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("look for a replay in database %s: %w", s.database, err)
	}
	return r, true, nil
}

// ReadReplay reads the next rows of a job into an empty batch with room for limit of them.
func (s *Session) ReadReplay(ctx context.Context, r Replay, limit int, batch *Batch) error {
	where, args := r.Where([]any{r.LastID, limit})
	return s.collect(ctx, batch, `
select `+rowColumns+`
  from public.outbox o
 where o.id > $1
   and `+where+`
 order by o.id
 limit $2`, args...)
}

// AdvanceReplay notes that more rows of a job are sent, up to the id last. It returns false if the
// job is to go on no more: it was cancelled, the source is paused, or another relay leads.
func (s *Session) AdvanceReplay(ctx context.Context, id int64, rows int, last int64) (bool, error) {
	tag, err := s.conn.Exec(ctx, advanceReplaySQL, s.epoch, id, rows, last)
	if err != nil {
		return false, fmt.Errorf("note the progress of replay %d in database %s: %w", id, s.database, err)
	}
	return tag.RowsAffected() == 1, nil
}

// FinishReplay ends a job: done if reason is empty, else failed.
func (s *Session) FinishReplay(ctx context.Context, id int64, reason string) error {
	state := "done"
	if reason != "" {
		state = "failed"
	}
	if _, err := s.conn.Exec(ctx, finishReplaySQL, s.epoch, id, state, reason); err != nil {
		return fmt.Errorf("finish replay %d in database %s: %w", id, s.database, err)
	}
	return nil
}
