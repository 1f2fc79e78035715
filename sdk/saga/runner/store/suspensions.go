package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
)

const suspensionsSQL = `
select name, version, suspended_at, suspended_by, suspended_because
from saga_definitions where suspended_at is not null order by suspended_at`

// Suspensions are the versions of definitions that are suspended.
func (s *Store) Suspensions(ctx context.Context) ([]saga.Suspension, error) {
	rows, err := s.DB.Query(ctx, suspensionsSQL)
	if err != nil {
		return nil, fmt.Errorf("look for suspended definitions: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[saga.Suspension])
	if err != nil {
		return nil, fmt.Errorf("look for suspended definitions: %w", err)
	}
	return list, nil
}

const suspendDefinitionSQL = `
update saga_definitions set suspended_at = coalesce($5, now()), suspended_by = $3, suspended_because = $4
where name = $1 and version = $2 and suspended_at is null`

const resumeDefinitionSQL = `
update saga_definitions set suspended_at = null, suspended_by = null, suspended_because = null
where name = $1 and version = $2 and suspended_at is not null`

// SuspendDefinition writes in tx that a version is suspended, or no longer. It returns false where
// it was so already, and [ErrNotFound] for a version that was never run.
func (s *Store) SuspendDefinition(ctx context.Context, tx pgx.Tx, name string, version int, suspend bool, by saga.Operator) (changed bool, err error) {
	sql, args := resumeDefinitionSQL, []any{name, version}
	if suspend {
		sql, args = suspendDefinitionSQL, []any{name, version, by.Actor, saga.Text(by.Reason), s.fixed()}
	}
	tag, err := tx.Exec(ctx, sql, args...)
	if err != nil || tag.RowsAffected() > 0 {
		return err == nil, err
	}
	var known bool
	err = tx.QueryRow(ctx, "select exists (select from saga_definitions where name = $1 and version = $2)", name, version).Scan(&known)
	if err == nil && !known {
		err = ErrNotFound
	}
	return false, err
}
