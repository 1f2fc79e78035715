package postgres

import (
	"context"
	"fmt"
)

// The rows above the last that was published: gaps below it do not count, and neither do rows that
// are stuck. It reads two rows, however large the outbox is.
const backlogSQL = `
select case when s.is_called then greatest(0, s.last_value - coalesce(upper(c.published) - 1, 0)) else 0 end
from outbox_id_seq s, outbox_cursor c`

// Backlog returns about how many messages wait to be published.
func (s *Store) Backlog(ctx context.Context) (rows int64, err error) {
	err = s.pool.QueryRow(ctx, backlogSQL).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("count the backlog: %w", err)
	}
	return rows, nil
}
