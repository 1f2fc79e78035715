package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	beginSessionSQL   = `select orders_begin_session()`
	undefinedFunction = "42883"
)

// BeginSession is what each session of Orders begins with: the first one after a failover, or a
// restore to a point in time, skips the ids that the server before may have given out. Others have
// heard of those: given out again, an id would have the messages of two orders taken for those of
// one.
func BeginSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, beginSessionSQL)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedFunction {
		return nil // an older schema, which is refused elsewhere, and with what to do
	}
	if err != nil {
		return fmt.Errorf("continue the ids of orders: %w", err)
	}
	return nil
}
