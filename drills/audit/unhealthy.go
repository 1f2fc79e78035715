package audit

import (
	"fmt"
	"strings"
	"time"
)

// stockLevels holds what Inventory counts against what its reservations add up to.
func (r *results) stockLevels(stockLevels []stockLevel) {
	r.looked[Stock] = int64(len(stockLevels))
	for _, s := range stockLevels {
		if s.Received != s.OnHand+s.Reserved {
			r.find(Stock, fmt.Sprintf("sku %q", s.SKU), repairStock(s), "received %d, but on hand %d + reserved %d = %d",
				s.Received, s.OnHand, s.Reserved, s.OnHand+s.Reserved)
		}
	}
}

// stuck reports the rows that the broker refuses. Those that wait behind them are no trouble of
// their own.
func (r *results) stuck(database string, rows []stuckRow) {
	type cause struct{ topic, code string }
	parked, refused := map[string]int{}, map[cause][]stuckRow{}
	for _, s := range rows {
		if s.Parked {
			parked[s.Key]++
			continue
		}
		why := cause{s.Topic, s.Code}
		refused[why] = append(refused[why], s)
	}
	for why, rows := range refused {
		ids, behind, since := make([]int64, len(rows)), 0, time.Duration(0)
		for i, s := range rows {
			ids[i], behind, since = s.OutboxID, behind+parked[s.Key], max(since, s.Since)
		}
		subject, attempts := fmt.Sprintf("%s outbox row %d", database, ids[0]), fmt.Sprintf(" after %d attempts", rows[0].Attempts)
		if len(rows) > 1 {
			subject, attempts = fmt.Sprintf("%d outbox rows of %s for %s", len(rows), database, why.topic), ""
		}
		r.findMany(Unhealthy, len(rows), subject, repairStuck(database, ids),
			"stuck since %s%s, %d rows of the same key wait behind: %s", round(since), attempts, behind, rows[0].Error)
	}
}

func (r *results) unhealthySagas(sagas []saga) {
	for _, s := range sagas {
		r.find(Unhealthy, fmt.Sprintf("saga %d", s.OrderID), repairOverdue(s.OrderID), "%s since %s: %s", s.Phase, round(s.Still), s.Reason)
	}
}

// deadLetters reports messages that a consumer has set aside.
func (r *results) deadLetters(m *deliveries, expected func(key, topic string) bool) {
	for _, l := range m.deliveries {
		if !isDeadLetter(l.Topic) {
			continue
		}
		r.looked[Unhealthy] += l.count()
		if expected == nil || !expected(l.Key, strings.TrimSuffix(l.Topic, ".dlq")) {
			r.find(Unhealthy, l.subject(), repairDeadLetter(l.row), "a dead letter: %s with key %q on %s: %s", l.Type, l.Key, l.Topic, l.Reason)
		}
	}
}
