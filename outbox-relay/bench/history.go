package main

import (
	"context"
	"fmt"
)

const historyRows = 300_000

// measureHistory drains the same backlog from an empty table and from one that holds many published rows. The better of
// two runs counts for each.
func measureHistory(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	best := func(from int) (rate float64, err error) {
		for run := range 2 {
			if err := db.fill(ctx, historyRows); err != nil {
				return 0, err
			}
			once, err := b.drain(ctx, db, historyRows, from+(run+1)*historyRows)
			if err != nil {
				return 0, err
			}
			rate = max(rate, once)
		}
		return rate, nil
	}
	empty, err := best(0)
	if err != nil {
		return err
	}
	figure("drain_rate_empty_table", empty, "rows/s")
	if err := db.fill(ctx, b.history); err != nil {
		return err
	}
	end := 2*historyRows + b.history
	if _, err := db.Exec(ctx, fmt.Sprintf(`update outbox_cursor set published = '{[1,%d)}'`, end+1)); err != nil {
		return err
	}
	full, err := best(end)
	if err != nil {
		return err
	}
	figure("drain_rate_with_history", full, "rows/s")
	figure("history_cost", 100*(1-full/empty), "%")
	return nil
}
