// Package postgres loads and saves stock and reservations in the tables of the migration set
// "inventory".
//
// [Store.Load] and [Store.Save] are the hot path: a whole batch of commands in two round trips,
// however many there are. The rest is what the HTTP API reads and sets.
package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/inventory/stock"
)

// SchemaVersion is the version of the migration set "inventory" that this package needs.
const SchemaVersion = 4

// Store reads and writes one database. It is safe for concurrent use.
type Store struct{ pool *pgxpool.Pool }

// NewStore returns a store on a pool, which stays the caller's to close.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool} }

const levelSQL = `
select sku, on_hand, received, updated_at from stock where sku = $1`

// Level returns how much there is of one sku, or [stock.ErrNotFound].
func (s *Store) Level(ctx context.Context, sku string) (stock.Level, error) {
	level, err := one[stock.Level](s.pool.Query(ctx, levelSQL, sku))
	if err != nil {
		return stock.Level{}, fmt.Errorf("read stock of %q: %w", sku, err)
	}
	return level, nil
}

// By the primary key, whatever is below: an index on on_hand would have every reservation write it,
// and none of them could be a heap-only update any more; see decision 092.
const levelsSQL = `
select sku, on_hand, received, updated_at from stock
where sku > $1 and ($3::bigint is null or on_hand < $3)
order by sku limit $2`

// Levels returns a page of skus in the order of their bytes.
func (s *Store) Levels(ctx context.Context, page stock.Page) ([]stock.Level, error) {
	var below *int64
	if page.Below > 0 {
		below = &page.Below
	}
	rows, err := s.pool.Query(ctx, levelsSQL, page.After, page.Limit, below)
	if err != nil {
		return nil, fmt.Errorf("list stock: %w", err)
	}
	levels, err := pgx.CollectRows(rows, pgx.RowToStructByName[stock.Level])
	if err != nil {
		return nil, fmt.Errorf("list stock: %w", err)
	}
	return levels, nil
}

// one collects the single row of a query.
func one[T any](rows pgx.Rows, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	if errors.Is(err, pgx.ErrNoRows) {
		err = stock.ErrNotFound
	}
	return row, err
}
