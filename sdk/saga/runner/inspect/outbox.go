package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// OutboxRow is what became of a message in a service's outbox.
type OutboxRow struct {
	ID          int64
	EventID     uuid.UUID
	Topic       string
	Type        string
	CreatedAt   time.Time
	Status      string // published, pending, stuck or parked
	Error       string
	Attempts    int
	StuckAt     *time.Time
	NextAttempt *time.Time
}

// The view outbox_status belongs to the migration set "outbox".
const outboxSQL = `
select id, event_id, topic, type, created_at, status,
       coalesce(error, '') as error, coalesce(attempts, 0) as attempts, stuck_at, next_attempt_at as next_attempt
from outbox_status where key = $1 order by id`

// Querier is what reads need; a pool, a connection and a transaction have it.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Outbox returns all messages of one key in the outbox of a database.
func Outbox(ctx context.Context, db Querier, key string) ([]OutboxRow, error) {
	rows, err := db.Query(ctx, outboxSQL, key)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[OutboxRow])
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return list, nil
}

// Delivery is where a consumer of this database has handled an event.
type Delivery struct {
	Consumer  string
	Topic     string
	Partition int32
	Offset    int64
	HandledAt time.Time
}

// Deliveries returns where an event was handled, the earliest first.
func Deliveries(ctx context.Context, db Querier, event uuid.UUID) ([]Delivery, error) {
	rows, err := db.Query(ctx, `select consumer, topic, "partition", "offset", handled_at from inbox where event_id = $1 order by handled_at`, event)
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	return list, nil
}
