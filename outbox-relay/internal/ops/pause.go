package ops

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/auditlog"
)

const pauseSQL = `
update public.outbox_cursor c set paused = $1
  from (select paused from public.outbox_cursor for update) before
returning before.paused`

// Pause is whether a database is published.
type Pause struct {
	Paused bool `json:"paused" doc:"Whether nothing is published until it is resumed."`
}

// Version is another after each change.
func (p Pause) Version() string {
	if p.Paused {
		return "paused"
	}
	return "running"
}

// Paused says whether the database is paused.
func (d *Database) Paused(ctx context.Context) (p Pause, err error) {
	if err := d.pool.QueryRow(ctx, `select paused from public.outbox_cursor`).Scan(&p.Paused); err != nil {
		return p, fmt.Errorf("see whether database %s is paused: %w", d.Name, err)
	}
	return p, nil
}

// Pause stops the publishing of a database, rows in flight excepted, until Resume. Writers notice
// nothing.
func (d *Database) Pause(ctx context.Context, by By) (changed bool, err error) {
	return d.setPaused(ctx, by, "pause", true)
}

// Resume ends a pause.
func (d *Database) Resume(ctx context.Context, by By) (changed bool, err error) {
	return d.setPaused(ctx, by, "resume", false)
}

func (d *Database) setPaused(ctx context.Context, by By, action string, paused bool) (changed bool, err error) {
	err = d.audited(ctx, by, action, func(tx pgx.Tx) (entry auditlog.Entry, err error) {
		var before bool
		if err := tx.QueryRow(ctx, pauseSQL, paused).Scan(&before); err != nil {
			return entry, fmt.Errorf("%s database %s: %w", action, d.Name, err)
		}
		if err := by.saw(Pause{before}.Version()); err != nil {
			return entry, fmt.Errorf("%s database %s: %w", action, d.Name, err)
		}
		changed = before != paused
		return auditlog.Entry{Object: "outbox", Before: Pause{before}, After: Pause{paused}}, notify(ctx, tx)
	})
	return changed, err
}
