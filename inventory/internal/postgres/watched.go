package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/inventory/stock"
)

const levelsOfSQL = `
select sku, on_hand, received, updated_at from stock where sku = any ($1::text[]) order by sku`

// LevelsOf returns how much there is of each of the skus that exist.
func (s *Store) LevelsOf(ctx context.Context, skus []string) ([]stock.Level, error) {
	rows, err := s.pool.Query(ctx, levelsOfSQL, skus)
	if err != nil {
		return nil, fmt.Errorf("read stock of %d skus: %w", len(skus), err)
	}
	levels, err := pgx.CollectRows(rows, pgx.RowToStructByName[stock.Level])
	if err != nil {
		return nil, fmt.Errorf("read stock of %d skus: %w", len(skus), err)
	}
	return levels, nil
}
