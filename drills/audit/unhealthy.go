package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// stockLevels compares what Inventory counts with what its reservations, and its movements, add up
// to, and says by how much they differ.
func (r *results) stockLevels(stockLevels []stockLevel) {
	r.looked[Stock] = int64(len(stockLevels))
	for _, s := range stockLevels {
		subject := fmt.Sprintf("sku %q", s.SKU)
		if there := s.OnHand + s.Reserved; s.Received != there {
			r.find(Stock, subject, repairStock(s), "received %d, but on hand %d + reserved %d = %d: a difference of %+d",
				s.Received, s.OnHand, s.Reserved, there, there-s.Received)
		}
		if s.Moved != s.Received {
			r.find(Stock, subject, repairMovements(s), "received %d, but its movements add up to %d: a difference of %+d that no movement explains",
				s.Received, s.Moved, s.Received-s.Moved)
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
		ids, keys, behind, since := make([]int64, len(rows)), make([]string, len(rows)), 0, time.Duration(0)
		for i, s := range rows {
			ids[i], keys[i], behind, since = s.OutboxID, s.Key, behind+parked[s.Key], max(since, s.Since)
		}
		subject, attempts := fmt.Sprintf("%s outbox row %d", database, ids[0]), fmt.Sprintf(" after %d attempts", rows[0].Attempts)
		if len(rows) > 1 {
			subject, attempts = fmt.Sprintf("%d outbox rows of %s for %s", len(rows), database, why.topic), ""
		}
		r.findFor(keys, Unhealthy, len(rows), subject, repairStuck(database, ids),
			"stuck since %s%s, %d rows of the same key wait behind: %s", round(since), attempts, behind, rows[0].Error)
	}
}

func (r *results) unhealthySagas(sagas []saga) {
	for _, s := range sagas {
		r.findFor([]string{number(s.OrderID)}, Unhealthy, 1, fmt.Sprintf("saga %d", s.OrderID), repairOverdue(s.OrderID), "%s since %s: %s", s.Phase, round(s.Still), s.Reason)
	}
}

// deadLetters reports messages that a consumer has set aside and no operator has settled. If all
// that a service has are to be redriven, they are one finding.
func (r *results) deadLetters(m *deliveries, cfg Config) {
	waiting, apart := map[string][]*delivery{}, map[string]bool{}
	for _, l := range m.deliveries {
		if !isDeadLetter(l.Topic) {
			continue
		}
		r.looked[Unhealthy] += l.count()
		if l.Settled {
			continue
		}
		topic := strings.TrimSuffix(l.Topic, ".dlq")
		if cfg.Expected != nil && cfg.Expected(l.Key, topic) {
			apart[l.Database] = true
			continue
		}
		l.repair = repairDeadLetter(l.row, cfg.wasRestored(producers[topic]))
		apart[l.Database] = apart[l.Database] || !strings.HasPrefix(l.repair, redriving)
		waiting[l.Database] = append(waiting[l.Database], l)
	}
	for database, letters := range waiting {
		if !apart[database] && len(letters) > 1 {
			r.redriveAll(database, letters)
			continue
		}
		for _, l := range letters {
			r.findFor([]string{l.Key}, Unhealthy, 1, l.subject(), l.repair, "a dead letter: %s with key %q on %s: %s", l.Type, l.Key, l.Topic, l.Reason)
		}
	}
}

// redriveAll is one finding about all dead letters of a service.
func (r *results) redriveAll(database string, letters []*delivery) {
	first := slices.MinFunc(letters, func(a, b *delivery) int { return cmp.Compare(a.ID, b.ID) })
	keys := make([]string, len(letters))
	for i, l := range letters {
		keys[i] = l.Key
	}
	r.findFor(keys, Unhealthy, len(letters), fmt.Sprintf("%d dead letters of %s", len(letters), database), repairDeadLetters(database),
		"the first is %s with key %q on %s: %s", first.Type, first.Key, first.Topic, first.Reason)
}
