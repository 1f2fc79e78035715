package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

// Restored is a database that was taken back: by a restore, or by a failover to a standby that had
// not received everything.
type Restored struct {
	Database string
	// From is the moment that it went back to, To the one at which it was put in place. What was
	// published in between may have no row any more.
	From, To time.Time
}

// producers are the databases whose rows go to each topic.
var producers = map[string]string{
	contracts.TopicOrders:            "orders",
	contracts.TopicInventory:         "inventory",
	contracts.TopicOrderCommands:     "orchestrator",
	contracts.TopicInventoryCommands: "orchestrator",
}

// producer is where the row of a message is. A dead letter is written by who could not handle it.
func (m message) producer() string {
	if topic, dead := strings.CutSuffix(m.Topic, ".dlq"); dead {
		return consumers[topic].database
	}
	return producers[m.Topic]
}

// foreign reports whether a message may well have no row.
func (c Config) foreign(m message) bool {
	lost := func(r Restored) bool {
		return r.Database == m.producer() && !m.Time.Before(r.From) && !m.Time.After(r.To)
	}
	return c.Foreign != nil && c.Foreign(m.EventID, m.Key) || slices.ContainsFunc(c.Restored, lost)
}

func (c Config) wasRestored(database string) bool {
	return slices.ContainsFunc(c.Restored, func(r Restored) bool { return r.Database == database })
}

// keysLost is when Orders' database was taken back for the last time, if it was: keys that were
// used in between are forgotten, and a request that was first sent before and sent again after it
// may be two orders.
func (c Config) keysLost() (at time.Time) {
	for _, r := range c.Restored {
		if r.Database == "orders" && r.To.After(at) {
			at = r.To
		}
	}
	return at
}

// readMissing finds sagas without an order. An order is there before its saga is, so sagas are read
// first.
func (a *Auditor) readMissing(ctx context.Context, began time.Time) error {
	absent, err := a.databases.withoutOrder(ctx, a.sagasRead, slices.Collect(maps.Keys(a.missing)))
	if err != nil {
		return err
	}
	clear(a.missing)
	for _, id := range absent {
		if a.cfg.Foreign == nil || !a.cfg.Foreign(uuid.Nil, number(id)) {
			a.missing[id] = true
		}
	}
	a.sagasRead = began.Add(-a.cfg.recent())
	if len(a.missing) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(a.missing))
	subject := fmt.Sprintf("order %d", ids[0])
	if len(ids) > 1 {
		subject = fmt.Sprintf("%d orders from %d to %d", len(ids), ids[0], ids[len(ids)-1])
	}
	a.results.findMany(Agreed, len(ids), subject, repairMissing, "in a saga, and not in Orders: was its database restored?")
	return nil
}
