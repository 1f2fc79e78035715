package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/inbox"
)

// The table consumer_positions belongs to the migration set "outbox".
const positionsSQL = `
select topic, "partition", next_offset from consumer_positions where consumer = $1`

type position struct {
	Topic     string
	Partition int32
	Next      int64
}

// Positions returns how far a consumer has read each partition, in whichever process.
func (s *Store) Positions(ctx context.Context, consumer string) (map[inbox.Partition]int64, error) {
	rows, err := s.DB.Query(ctx, positionsSQL, consumer)
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", consumer, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[position])
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", consumer, err)
	}
	positions := make(map[inbox.Partition]int64, len(list))
	for _, p := range list {
		positions[inbox.Partition{Topic: p.Topic, Partition: p.Partition}] = p.Next
	}
	return positions, nil
}
