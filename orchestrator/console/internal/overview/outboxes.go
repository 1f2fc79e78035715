package overview

import (
	"cmp"
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
	OldestStuck   *time.Time `json:"oldestStuck"`
	Unreachable   bool       `json:"unreachable,omitzero"`
}

// outboxes returns all that the relay knows, also those that it cannot reach.
func (o *overview) outboxes(ctx context.Context) ([]outbox, error) {
	answer, err := source.Get[struct {
		Databases   []outbox
		Unreachable []string
	}](ctx, o.sources.Relay, "/v1/outbox")
	all := answer.Databases
	for _, name := range answer.Unreachable {
		all = append(all, outbox{Database: name, Unreachable: true})
	}
	return all, err
}

// relay is the part of the relay that works for one database.
type relay struct {
	Database string    `json:"database"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Problem  string    `json:"problem,omitempty"`
}

func (o *overview) relays(ctx context.Context) []relay {
	answer, err := source.Get[struct {
		Sources []struct {
			Database, State, Problem, BrokerProblem string
			Since                                   time.Time
		}
	}](ctx, o.sources.Relay, "/v1/sources")
	if err != nil {
		return nil // the page says so
	}
	all := make([]relay, 0, len(answer.Sources))
	for _, s := range answer.Sources {
		all = append(all, relay{s.Database, s.State, s.Since, cmp.Or(s.Problem, s.BrokerProblem)})
	}
	return all
}
