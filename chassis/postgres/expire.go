package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// By ctid: a join on the key may read the whole table for each batch.
const deleteOlderSQL = `
delete from %[1]s where ctid = any(array(
    select ctid from %[1]s
    where created_at < now() - $1::interval
    order by created_at limit $2
    for update skip locked))`

// DeleteOlder removes at most limit rows that are older than an age, the oldest first, and returns
// how many it did. The table needs a column created_at and an index on it. Several instances may do
// it at once.
func DeleteOlder(ctx context.Context, pool *pgxpool.Pool, table string, age time.Duration, limit int) (int, error) {
	tag, err := pool.Exec(ctx, deleteOlder(table), age, limit)
	if err != nil {
		return 0, fmt.Errorf("delete old rows of %s: %w", table, err)
	}
	return int(tag.RowsAffected()), nil
}

func deleteOlder(table string) string {
	return fmt.Sprintf(deleteOlderSQL, pgx.Identifier{table}.Sanitize())
}
