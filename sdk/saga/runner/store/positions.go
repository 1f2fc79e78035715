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

// Positions returns a function that reads how far a consumer has come, whichever
// process it runs in.
func (s *Store) Positions(consumer string) func(context.Context) (map[inbox.Partition]int64, error) {
	return func(ctx context.Context) (map[inbox.Partition]int64, error) {
		rows, err := s.Pool.Query(ctx, positionsSQL, consumer)
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
}
