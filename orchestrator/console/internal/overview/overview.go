// Package overview is the first screen: how everything is at a glance, and what needs a person.
//
//	overview.go   what is asked for, and the plots
//	outboxes.go   the databases' outboxes, as the relay sees them
//	consumers.go  the consumer groups and their lag
//	letters.go    dead letters
//	audit.go      what the audit beside the system has found
//	attention.go  what needs a person, in a sentence each
package overview

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

//go:embed *.html
var templates embed.FS

// every is how often an open overview looks again. It is the page that is open all day, and asks
// the most: every other second took 1.4 % of a processor.
const every = 3 * time.Second

// New returns the screen. In a development stack, whose processes can be started and thawed from
// the console (breakable), one that does not answer is linked there.
func New(s *source.Sources, breakable bool) page.Screen {
	o := &overview{s, breakable}
	return page.Screen{
		Title: "Overview", Path: "/", Key: "o", Templates: templates,
		Pages: []page.Page{{Path: "/", Template: "overview.html", Title: "Overview", Every: every, Load: o.load}},
		Raw:   map[string]func(http.ResponseWriter, *page.Request) error{"/overview/series": o.series},
	}
}

type overview struct {
	sources   *source.Sources
	breakable bool
}

// data is what the page shows, and its JSON.
type data struct {
	Attention []attention     `json:"attention"`
	Sagas     sagas           `json:"sagas"`
	Stats     inspect.Stats   `json:"stats"`
	Health    []source.Health `json:"health"`
	Outboxes  []outbox        `json:"outboxes"`
	Relays    []relay         `json:"relays"`
	Consumers []consumer      `json:"consumers"`
	Letters   []letters       `json:"deadLetters"`
	Audit     audited         `json:"audit"`
	Unknown   unknown         `json:"unknown"`
}

// unknown is what could not be found out, so that a page shows no 0 for it.
type unknown struct {
	Sagas    bool `json:"sagas,omitzero"`
	Outboxes bool `json:"outboxes,omitzero"`
}

// sagas are the sums over the states of open ones.
type sagas struct {
	Open     int64 `json:"open"`
	Overdue  int64 `json:"overdue"`
	Stuck    int64 `json:"stuck"`
	Retrying int64 `json:"retrying"`
}

// Pending, Stuck and Dead are the sums over databases and services.
func (d data) Pending() (n int64) {
	for _, o := range d.Outboxes {
		n += o.Pending
	}
	return n
}

// StuckRows are the rows that the broker refuses.
func (d data) StuckRows() (n int64) {
	for _, o := range d.Outboxes {
		n += o.Stuck
	}
	return n
}

// Oldest is since when the oldest pending row waits.
func (d data) Oldest() (oldest *time.Time) {
	for _, o := range d.Outboxes {
		if o.OldestPending != nil && (oldest == nil || o.OldestPending.Before(*oldest)) {
			oldest = o.OldestPending
		}
	}
	return oldest
}

// Dead are the dead letters of all services.
func (d data) Dead() (n int64) {
	for _, l := range d.Letters {
		n += l.Dead
	}
	return n
}

func (o *overview) load(ctx context.Context, r *page.Request) (any, error) {
	var d data
	var sagasErr, outboxErr error
	var asking sync.WaitGroup
	asking.Go(func() {
		d.Stats, sagasErr = source.Get[inspect.Stats](ctx, o.sources.Orchestrator, "/v1/stats?window=1m")
	})
	asking.Go(func() { d.Health = o.sources.Health(ctx) })
	asking.Go(func() { d.Outboxes, outboxErr = o.outboxes(ctx) })
	asking.Go(func() { d.Relays = o.relays(ctx) })
	asking.Go(func() { d.Consumers = o.consumers(ctx) })
	asking.Go(func() { d.Letters = o.letters(ctx) })
	asking.Go(func() { d.Audit = o.audited(ctx, r) })
	asking.Wait()
	d.Unknown = unknown{Sagas: sagasErr != nil, Outboxes: outboxErr != nil}
	d.Sagas = sum(d.Stats.Open)
	d.Attention = o.needs(d)
	return d, nil
}

func sum(open []store.OpenStats) (s sagas) {
	for _, state := range open {
		s.Open += state.Count
		s.Overdue += state.Overdue
		s.Stuck += state.Stuck
		s.Retrying += state.Retrying
	}
	return s
}

// series is the data of the plots, as the orchestrator answers it.
func (o *overview) series(w http.ResponseWriter, r *page.Request) error {
	hour, err := source.Get[json.RawMessage](r.Context(), o.sources.Orchestrator, "/v1/series")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(hour) // only a client that hung up fails here
	return nil
}
