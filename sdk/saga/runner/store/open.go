package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// OpenStats counts the sagas of one state.
type OpenStats struct {
	State   string    `json:"state"`
	Count   int64     `json:"count"`
	Overdue int64     `json:"overdue" doc:"Those whose deadline has passed"`
	Stuck   int64     `json:"stuck" doc:"Those that need an operator"`
	Oldest  time.Time `json:"oldest" doc:"When the oldest began"`
	// Retrying have sent a command of theirs again.
	Retrying int64 `json:"retrying" doc:"Those that have sent a command again and wait for its reply"`
}

// OpenStatsSQL reads an [OpenStats] per state, of the time $1, from the small index of open sagas,
// however many have ended.
const OpenStatsSQL = `
select state, count(*), count(*) filter (where deadline < $1) as overdue, count(*) filter (where trouble is not null) as stuck, min(started_at) as oldest,
       count(*) filter (where attempt > 1) as retrying
from sagas where wake_at is not null and deadline is not null
group by state order by state`

// Open counts the sagas that have not ended, by state.
func (s *Store) Open(ctx context.Context, now time.Time) ([]OpenStats, error) {
	rows, err := s.DB.Query(ctx, OpenStatsSQL, now)
	if err != nil {
		return nil, fmt.Errorf("count open sagas: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OpenStats])
	if err != nil {
		return nil, fmt.Errorf("count open sagas: %w", err)
	}
	return open, nil
}
