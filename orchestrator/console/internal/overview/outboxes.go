package overview

import (
	"context"
	"time"

	"waybill.example/orchestrator/console/internal/source"
)

// outbox is a database's, as the relay sees it.
type outbox struct {
	Database      string     `json:"database"`
	Leader        string     `json:"leader"`
	LedSince      *time.Time `json:"ledSince"`
	Paused        bool       `json:"paused"`
	Pending       int64      `json:"pending"`
	OldestPending *time.Time `json:"oldestPending"`
	Stuck         int64      `json:"stuck"`
	Parked        int64      `json:"parked"`
	Unreachable   bool       `json:"unreachable,omitzero"`
}

// outboxes returns all that the relay knows, also those that it cannot reach.
func (o *overview) outboxes(ctx context.Context) []outbox {
	answer, err := source.Get[struct {
		Databases   []outbox
		Unreachable []string
	}](ctx, o.sources.Relay, "/v1/outbox")
	if err != nil {
		return nil // the page says so
	}
	all := answer.Databases
	for _, name := range answer.Unreachable {
		all = append(all, outbox{Database: name, Unreachable: true})
	}
	return all
}
