package inbox

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ConflictError says that a message came under an event id that another message was handled under
// before. It is not the same message again: its type, key or content is another.
type ConflictError struct {
	EventID uuid.UUID
	// Where the other message stood.
	Topic     string
	Partition int32
	Offset    int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("event id %s was used before, by another message at %s/%d offset %d",
		e.EventID, e.Topic, e.Partition, e.Offset)
}

// handled is what the inbox knows of a message. Rows of an earlier version have no digest.
type handled struct {
	EventID   uuid.UUID
	Topic     string
	Partition int32
	Offset    int64
	Digest    *int64
}

const handledSQL = `
select event_id, topic, "partition", "offset", digest
from inbox where consumer = $1 and event_id = any($2::uuid[])`

// conflicts returns the entries that were not accepted because another message has their id. It
// costs a round trip, and only where a message was handled before.
func (a *acceptance) conflicts(ctx context.Context, tx pgx.Tx, consumer string) (map[int]*ConflictError, error) {
	before, err := a.handledBefore(ctx, tx, consumer)
	if err != nil {
		return nil, fmt.Errorf("read the inbox: %w", err)
	}
	found := make(map[int]*ConflictError)
	for i, e := range a.entries {
		first := a.first[e.EventID]
		is, known := before[e.EventID]
		if !known {
			d := a.entries[first].Delivery
			is = handled{e.EventID, d.Topic, d.Partition, d.Offset, &a.digests[first]}
		}
		if is.Digest != nil && *is.Digest != a.digests[i] {
			found[i] = &ConflictError{e.EventID, is.Topic, is.Partition, is.Offset}
		}
	}
	return found, nil
}

// handledBefore reads the rows of the entries that were not accepted.
func (a *acceptance) handledBefore(ctx context.Context, tx pgx.Tx, consumer string) (map[uuid.UUID]handled, error) {
	var ids [][16]byte
	for id, i := range a.first {
		if !a.isNew[i] {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, handledSQL, consumer, ids)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[handled])
	before := make(map[uuid.UUID]handled, len(list))
	for _, h := range list {
		before[h.EventID] = h
	}
	return before, err
}
