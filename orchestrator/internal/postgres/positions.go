package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill/outbox/inbox"
)

// The table consumer_positions belongs to the migration set "outbox".
const positionsSQL = `
select topic, "partition", next_offset from consumer_positions where consumer = $1`

// Positions returns a function that reads how far a consumer has come, whichever
// process it runs in.
func (s *Store) Positions(consumer string) func(context.Context) (map[inbox.Partition]int64, error) {
	return func(ctx context.Context) (map[inbox.Partition]int64, error) {
		rows, err := s.Pool.Query(ctx, positionsSQL, consumer)
		if err != nil {
			return nil, fmt.Errorf("read positions of %s: %w", consumer, err)
		}
		positions := map[inbox.Partition]int64{}
		var p inbox.Partition
		var next int64
		if _, err = pgx.ForEachRow(rows, []any{&p.Topic, &p.Partition, &next}, func() error {
			positions[p] = next
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read positions of %s: %w", consumer, err)
		}
		return positions, nil
	}
}
