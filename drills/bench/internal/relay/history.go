package relay

import (
	"context"
)

const historyRows = 300_000

// measureHistory drains the same backlog from an empty table and from one that holds many published
// rows.
func measureHistory(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	best := func(after int) (rate float64, err error) {
		if err := db.fill(ctx, historyRows); err != nil {
			return 0, err
		}
		for range rounds {
			once, err := b.drain(ctx, db, after, after+historyRows)
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
	b.figure("drain_rate_empty_table", empty, "rows/s")
	if err := db.fill(ctx, b.History); err != nil {
		return err
	}
	full, err := best(historyRows + b.History)
	if err != nil {
		return err
	}
	b.figure("drain_rate_with_history", full, "rows/s")
	b.figure("history_cost", 100*(1-full/empty), "%")
	return nil
}
