package relay

import (
	"context"
	"time"
)

const (
	retentionAge  = 10 * time.Second
	retentionPace = 2000
	retentionTime = 30 * time.Second // of each half
)

// measureRetention has writers insert at a steady pace while rows older than a few seconds go away,
// and compares the size of table and indexes after the first half with that at the end, and the
// slowest insert with and without.
func measureRetention(ctx context.Context, b *bench) error {
	db, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer b.drop(ctx, db)
	// Autovacuum looks once a minute by default, and this takes one: look as often for its length.
	for _, sql := range []string{`alter system set autovacuum_naptime = '2s'`, `select pg_reload_conf()`} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	relay, err := b.relay([]*database{db})
	if err != nil {
		return err
	}
	_, without, err := write(ctx, db, insertWriters, retentionTime/2, retentionPace)
	stopInTime(ctx, relay)
	if err != nil {
		return err
	}
	if relay, err = b.relay([]*database{db}, "RELAY_RETENTION="+retentionAge.String()); err != nil {
		return err
	}
	defer stopInTime(ctx, relay)
	var sizes [2]float64
	var slowest time.Duration
	for half := range sizes {
		_, longest, err := write(ctx, db, insertWriters, retentionTime, retentionPace)
		if err != nil {
			return err
		}
		slowest = max(slowest, longest)
		const size = `select pg_total_relation_size('outbox') / 1048576.0`
		if err := db.QueryRow(ctx, size).Scan(&sizes[half]); err != nil {
			return err
		}
	}
	var rows float64
	if err := db.QueryRow(ctx, `select count(*) from outbox`).Scan(&rows); err != nil {
		return err
	}
	b.figure("retention_rows_kept", rows, "rows")
	b.figure("retention_size_halfway", sizes[0], "MiB")
	b.figure("retention_size_end", sizes[1], "MiB")
	b.figure("retention_slowest_insert", float64(slowest.Microseconds())/1000, "ms")
	b.figure("no_retention_slowest_insert", float64(without.Microseconds())/1000, "ms")
	return nil
}
