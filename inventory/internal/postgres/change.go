package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	chassispg "waybill.example/chassis/postgres"
	"waybill.example/inventory/stock"
)

const (
	claimSQL = `insert into stock_requests (key, digest) values ($1, $2) on conflict (key) do nothing`
	knownSQL = `select digest, answer from stock_requests where key = $1`
	// The lock decides which is first, a change or a reservation.
	lockLevelSQL = `select sku, on_hand, received, updated_at from stock where sku = $1 for no key update`
	newLevelSQL  = `
insert into stock (sku, on_hand, received) values ($1, $2, $2) on conflict (sku) do nothing
returning sku, on_hand, received, updated_at`
	// What is reserved stays as it is.
	setLevelSQL = `
update stock set received = received + $2 - on_hand, on_hand = $2, updated_at = clock_timestamp() where sku = $1
returning sku, on_hand, received, updated_at`
	answerSQL = `update stock_requests set answer = $2 where key = $1`
)

// Change changes the level of a sku, once per key. What was received changes by the same number of
// items as what is on hand. The errors are those of [stock.Change.Apply], and [stock.ErrKeyReused].
func (s *Store) Change(ctx context.Context, c stock.Change) (stock.Changed, error) {
	changed, err := s.change(ctx, c)
	if errors.Is(err, errAdded) {
		changed, err = s.change(ctx, c)
	}
	if err != nil {
		return stock.Changed{}, fmt.Errorf("change stock of %q: %w", c.SKU, err)
	}
	return changed, nil
}

// errAdded says that the sku was new when it was looked for, and was added by another request
// since.
var errAdded = errors.New("another request has added it")

func (s *Store) change(ctx context.Context, c stock.Change) (changed stock.Changed, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if c.Key != "" {
			known, answer, err := claim(ctx, tx, c)
			if err != nil || known {
				changed = answer
				return err
			}
		}
		var err error
		if changed, err = change(ctx, tx, c); err != nil || c.Key == "" {
			return err
		}
		_, err = tx.Exec(ctx, answerSQL, c.Key, changed)
		return err
	})
	return changed, err
}

// claim claims the key of a request. known says that the same request came before, and answer what
// came of it.
func claim(ctx context.Context, tx pgx.Tx, c stock.Change) (known bool, answer stock.Changed, err error) {
	digest := c.Digest()
	tag, err := tx.Exec(ctx, claimSQL, c.Key, digest[:])
	if err != nil || tag.RowsAffected() == 1 {
		return false, answer, err
	}
	var before []byte
	if err := tx.QueryRow(ctx, knownSQL, c.Key).Scan(&before, &answer); err != nil {
		return false, answer, fmt.Errorf("read the key: %w", err)
	}
	if string(before) != string(digest[:]) {
		return false, answer, stock.ErrKeyReused
	}
	return true, answer, nil
}

func change(ctx context.Context, tx pgx.Tx, c stock.Change) (stock.Changed, error) {
	var now *stock.Level
	level, err := one[stock.Level](tx.Query(ctx, lockLevelSQL, c.SKU))
	switch {
	case err == nil:
		now = &level
	case !errors.Is(err, stock.ErrNotFound):
		return stock.Changed{}, err
	}
	onHand, err := c.Apply(now)
	if err != nil {
		return stock.Changed{}, err
	}
	if now != nil {
		level, err = one[stock.Level](tx.Query(ctx, setLevelSQL, c.SKU, onHand))
		return stock.Changed{Level: level}, err
	}
	level, err = one[stock.Level](tx.Query(ctx, newLevelSQL, c.SKU, onHand))
	if errors.Is(err, stock.ErrNotFound) {
		err = errAdded
	}
	return stock.Changed{Level: level, Created: true}, err
}

// ForgetKeys removes at most limit of the keys that are older than an age, and returns how many it
// did.
func (s *Store) ForgetKeys(ctx context.Context, age time.Duration, limit int) (int, error) {
	return chassispg.DeleteOlder(ctx, s.pool, "stock_requests", age, limit)
}
