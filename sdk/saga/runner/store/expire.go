package store

import (
	"context"
	"fmt"
	"time"
)

// Walks sagas_started from its old end; concurrent processes take other rows.
const expireSQL = `
with old as (
    select id, definition from sagas
    where started_at < $1 and ended_at < $1 and deadline is null
    order by started_at, id limit $2 for update skip locked
), forgotten as (
    delete from saga_transitions t using old where t.saga_id = old.id and t.definition = old.definition
), unlisted as (
    delete from saga_attributes a using old where a.saga_id = old.id and a.definition = old.definition
)
delete from sagas s using old where s.id = old.id and s.definition = old.definition`

// Expire deletes at most limit sagas that ended before a time, histories included, and returns how
// many.
func (s *Store) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := s.DB.Exec(ctx, expireSQL, before, limit)
	if err != nil {
		return 0, fmt.Errorf("expire sagas: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
