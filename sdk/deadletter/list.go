package deadletter

import (
	"context"
	"fmt"
)

// Get returns one dead letter, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, id int64) (Letter, error) {
	l, err := get(ctx, s.db, id)
	if err != nil {
		return l, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	return l, nil
}
