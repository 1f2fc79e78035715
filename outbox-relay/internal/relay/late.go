package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// sweep publishes rows that became visible after their ids were given up, which nothing that
// Postgres shows can rule out: an id drawn in one transaction and inserted in another. Their order
// is lost; they are not.
func (l *loop) sweep(ctx context.Context) error {
	now := time.Now()
	if l.paused || now.Sub(l.swept) < l.options.Sweep || l.underWay(source.Late) {
		return nil
	}
	l.swept = now
	batch := l.batch(0)
	batch.Origin = source.Late
	next, err := l.session.ReadLate(ctx, l.lateFrom, l.options.BatchRows, batch)
	if err != nil {
		return err
	}
	l.lateFrom = next
	for _, row := range batch.Rows {
		l.late.Inc()
		l.logAbout(row).WarnContext(ctx, "a row came after its id was given up as rolled back; publishing it, perhaps out of order")
	}
	l.enqueue(batch)
	return nil
}
