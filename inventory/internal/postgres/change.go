package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/idempotency"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/inventory/stock"
)

const (
	claimSQL = `insert into stock_requests (key, digest) values ($1, $2) on conflict (key) do nothing`
	knownSQL = `select digest, answer from stock_requests where key = $1`
	// The lock decides which is first, a change or a reservation. It is the only one that a change
	// shares with consumers, who take it last: nobody waits in a ring.
	lockLevelSQL = `select sku, on_hand, received, updated_at from stock where sku = $1 for no key update`
	// In a statement of its own: one that has waited for the row sees everything else as it was
	// before, and would miss the movement of the transaction that it has waited for.
	lastMovementSQL = `select coalesce(max(id), 0) from stock_movements where sku = $1`
	newLevelSQL     = `
insert into stock (sku, on_hand, received) values ($1, $2, $2) on conflict (sku) do nothing
returning sku, on_hand, received, updated_at`
	// What is reserved stays as it is.
	setLevelSQL = `
update stock set received = received + $2 - on_hand, on_hand = $2, updated_at = clock_timestamp() where sku = $1
returning sku, on_hand, received, updated_at`
	addMovementSQL = `
insert into stock_movements (sku, kind, delta, on_hand, reserved, reason, actor, client)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning ` + movementColumns
	answerSQL = `update stock_requests set answer = $2 where key = $1`
)

// Change changes the level of a sku and writes the movement to the log, and an entry to the audit
// log of the database, once per key, in one transaction. What was received changes by the same
// number of items as what is on hand. The errors are those of [stock.Change.Apply], and
// [stock.ErrKeyReused].
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
		if changed, err = change(ctx, tx, c); err != nil {
			return err
		}
		if c.Key != "" {
			if _, err := tx.Exec(ctx, answerSQL, c.Key, changed); err != nil {
				return fmt.Errorf("keep the answer: %w", err)
			}
		}
		return auditlog.Append(ctx, tx, entry(c, changed)) // the last, since others wait for it
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
	if idempotency.Digest(before) != digest {
		return false, answer, stock.ErrKeyReused
	}
	return true, answer, nil
}

// change changes a level and logs the movement.
func change(ctx context.Context, tx pgx.Tx, c stock.Change) (stock.Changed, error) {
	now, err := current(ctx, tx, c)
	if err != nil {
		return stock.Changed{}, err
	}
	onHand, err := c.Apply(now)
	if err != nil {
		return stock.Changed{}, err
	}
	changed := stock.Changed{Created: now == nil}
	delta := onHand
	if changed.Created {
		changed.Level, err = one[stock.Level](tx.Query(ctx, newLevelSQL, c.SKU, onHand))
		if errors.Is(err, stock.ErrNotFound) {
			err = errAdded
		}
	} else {
		delta = onHand - now.OnHand
		changed.Level, err = one[stock.Level](tx.Query(ctx, setLevelSQL, c.SKU, onHand))
	}
	if err != nil {
		return stock.Changed{}, err
	}
	changed.Movement, err = one[stock.Movement](tx.Query(ctx, addMovementSQL,
		c.SKU, c.Kind, delta, onHand, changed.Reserved(), c.Reason, c.Actor, c.Client))
	return changed, err
}

// current locks the row of a sku and returns what a change has to know of it; nil: it is new.
func current(ctx context.Context, tx pgx.Tx, c stock.Change) (*stock.Current, error) {
	level, err := one[stock.Level](tx.Query(ctx, lockLevelSQL, c.SKU))
	if errors.Is(err, stock.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := &stock.Current{Level: level}
	if c.IfMatch != "" && c.Kind != stock.KindSet {
		err = tx.QueryRow(ctx, lastMovementSQL, c.SKU).Scan(&now.LastMovement)
	}
	return now, err
}

// entry is what the audit log has of a change.
func entry(c stock.Change, changed stock.Changed) auditlog.Entry {
	type numbers struct {
		OnHand   int64 `json:"onHand"`
		Reserved int64 `json:"reserved"`
	}
	e := auditlog.Entry{
		Actor: c.Actor, Client: c.Client, Action: "stock." + string(c.Kind), Object: "stock/" + url.PathEscape(c.SKU), Reason: c.Reason,
		After: numbers{changed.OnHand, changed.Reserved()},
	}
	if !changed.Created {
		e.Before = numbers{changed.Movement.Before(), changed.Reserved()}
	}
	return e
}

// ForgetKeys removes at most limit of the keys that are older than an age, and returns how many it
// did.
func (s *Store) ForgetKeys(ctx context.Context, age time.Duration, limit int) (int, error) {
	return chassispg.DeleteOlder(ctx, s.pool, "stock_requests", age, limit)
}
