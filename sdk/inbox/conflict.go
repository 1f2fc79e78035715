package inbox

import (
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

// conflicts returns the entries that were not accepted because another message has their id. before
// is what [acceptance.handledBefore] has read.
func (a *acceptance) conflicts(before map[uuid.UUID]handled) map[int]*ConflictError {
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
	return found
}

// handledBefore queues the read of the rows of the entries that were not accepted.
func (a *acceptance) handledBefore(batch *pgx.Batch, consumer string) map[uuid.UUID]handled {
	var ids [][16]byte
	for id, i := range a.first {
		if !a.isNew[i] {
			ids = append(ids, id)
		}
	}
	before := make(map[uuid.UUID]handled, len(ids))
	if len(ids) == 0 {
		return before
	}
	batch.Queue(handledSQL, consumer, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[handled])
		for _, h := range list {
			before[h.EventID] = h
		}
		return err
	})
	return before
}
