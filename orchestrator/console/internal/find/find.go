// Package find is the search: any id, and what it means.
package find

import (
	"context"
	"embed"
	"net/url"
	"strings"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

// New returns the screen, which has no place in the navigation: its box is on every page.
func New(s *source.Sources) page.Screen {
	f := &finder{s}
	return page.Screen{
		Path: "/find", Templates: templates,
		Pages: []page.Page{{Path: "/find", Template: "find.html", Title: "Find", Every: page.Never, Load: f.load}},
	}
}

type finder struct{ sources *source.Sources }

type answer struct {
	Query       string    `json:"query"`
	Meanings    []meaning `json:"meanings"`
	Searched    []string  `json:"searched"`
	Unreachable []string  `json:"unreachable"`
}

type meaning struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	What string `json:"what"`
	Next string `json:"next,omitempty"`
	// Path is where the console shows it; empty: nowhere.
	Path string `json:"path,omitempty"`
}

func (f *finder) load(ctx context.Context, r *page.Request) (any, error) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	if q == "" {
		return answer{}, nil
	}
	found, err := source.Get[answer](ctx, f.sources.Orchestrator, "/v1/find?q="+url.QueryEscape(q))
	for i, m := range found.Meanings {
		found.Meanings[i].Path = path(m)
		if m.Kind != "saga" && m.Kind != "job" { // what is said of the others quotes messages
			found.Meanings[i].What = r.Text(m.What)
		}
	}
	return found, err
}

// path is where the console shows a meaning.
func path(m meaning) string {
	switch m.Kind {
	case "order":
		return page.Path("/sagas/order/%s", m.Name)
	case "saga":
		if definition, id, ok := strings.Cut(m.Name, "/"); ok {
			return page.Path("/sagas/%s/%s", definition, id)
		}
	case "dead letter":
		if service, id, ok := strings.Cut(m.Name, "/"); ok {
			return page.Path("/dead-letters/%s/%s", service, id)
		}
	case "job":
		if service, id, ok := strings.Cut(m.Name, "/"); ok {
			return page.Path("/batches/%s/%s", service, id)
		}
	case "outbox row":
		if database, id, ok := strings.Cut(m.Name, "/"); ok {
			return page.Path("/outbox/%s/rows/%s", database, id)
		}
	}
	return ""
}
