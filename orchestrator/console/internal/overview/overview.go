// Package overview is the first screen: how everything is, at a glance.
package overview

import (
	"context"
	"embed"
	"sync"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/sdk/saga/runner/inspect"
)

//go:embed *.html
var templates embed.FS

// New returns the screen.
func New(s *source.Sources) page.Screen {
	o := &overview{s}
	return page.Screen{
		Title: "Overview", Path: "/", Key: "o", Templates: templates,
		Pages: []page.Page{{Path: "/", Template: "overview.html", Title: "Overview", Load: o.load}},
	}
}

type overview struct{ sources *source.Sources }

// data is what the page shows, and its JSON.
type data struct {
	Stats    inspect.Stats   `json:"stats"`
	Health   []source.Health `json:"health"`
	Outboxes []outbox        `json:"outboxes"`
}

func (o *overview) load(ctx context.Context, _ *page.Request) (any, error) {
	var d data
	var asking sync.WaitGroup
	asking.Go(func() { d.Stats, _ = source.Get[inspect.Stats](ctx, o.sources.Orchestrator, "/v1/stats?window=1m") })
	asking.Go(func() { d.Health = o.sources.Health(ctx) })
	asking.Go(func() { d.Outboxes = o.outboxes(ctx) })
	asking.Wait()
	return d, nil
}
