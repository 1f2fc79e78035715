package drill

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/drills/load"
)

const (
	sampleEvery = 250 * time.Millisecond
	// A database that is down must not hold the next sample up.
	sampleTime = 200 * time.Millisecond
	unknown    = -1
)

const pendingSQL = `select count(*) from orders where status = 'PENDING'`

// Rows above the end of the cursor; the few in its holes do not show in a plot.
const waitingSQL = `
select count(*) from outbox
 where id >= (select coalesce(upper(published), 0) from outbox_cursor)`

// sample looks at the system until ctx ends.
func (s *Environment) sample(ctx context.Context, totals func() load.Totals, each func(Sample)) (all []Sample) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		now := Sample{At: time.Now(), Totals: totals(), Pending: s.sum(ctx, "orders", pendingSQL)}
		for _, pool := range s.databases() {
			n := s.count(ctx, pool, waitingSQL)
			if n == unknown {
				now.Outbox = unknown
				break
			}
			now.Outbox += n
		}
		all = append(all, now)
		each(now)
		select {
		case <-ctx.Done():
			return all
		case <-ticker.C:
		}
	}
}

// count runs a query for one number, which is unknown when it does not come in time.
func (s *Environment) count(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) int64 {
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	var n int64
	if err := pool.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return unknown
	}
	return n
}
