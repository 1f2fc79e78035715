package audit

import (
	"fmt"
	"strings"
)

// shelves holds what Inventory counts against what its reservations add up to.
func (r *results) shelves(shelves []shelf) {
	r.looked[Stock] = int64(len(shelves))
	for _, s := range shelves {
		if s.Received != s.OnHand+s.Reserved {
			r.find(Stock, fmt.Sprintf("sku %q", s.SKU), repairStock(s), "received %d, but on hand %d + reserved %d = %d",
				s.Received, s.OnHand, s.Reserved, s.OnHand+s.Reserved)
		}
	}
}

// stuck reports the rows that the broker refuses. Those that wait behind them are no trouble of
// their own.
func (r *results) stuck(database string, rows []stuckRow) {
	parked := map[string]int{}
	for _, s := range rows {
		if s.Parked {
			parked[s.Key]++
		}
	}
	for _, s := range rows {
		if !s.Parked {
			r.find(Trouble, fmt.Sprintf("%s outbox row %d", database, s.OutboxID), repairStuck(database, s.OutboxID),
				"stuck since %s after %d attempts, %d rows of its key wait behind it: %s", round(s.Since), s.Attempts, parked[s.Key], s.Error)
		}
	}
}

func (r *results) troubled(sagas []saga) {
	for _, s := range sagas {
		r.find(Trouble, fmt.Sprintf("saga %d", s.OrderID), repairOverdue(s.OrderID), "%s since %s: %s", s.Phase, round(s.Still), s.Reason)
	}
}

// deadLetters reports messages that a consumer has set aside.
func (r *results) deadLetters(m *mail, expected func(key, topic string) bool) {
	for _, l := range m.letters {
		if !isDeadLetter(l.Topic) {
			continue
		}
		r.looked[Trouble] += l.count()
		if expected == nil || !expected(l.Key, strings.TrimSuffix(l.Topic, ".dlq")) {
			r.find(Trouble, l.subject(), repairDeadLetter(l.row), "a dead letter: %s with key %q on %s", l.Type, l.Key, l.Topic)
		}
	}
}
