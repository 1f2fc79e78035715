// Package deadletters is the console's screen of the messages that the services could not apply:
// grouped by cause over all services, one by one, and all that a filter chooses; with what an
// operator does about them: redrive, discard, edit.
//
//	screen.go  the pages and changes
//	groups.go  by cause; note.go: who looks at them
//	list.go    those that a filter chooses; bulk.go: a job for all of them
//	letter.go  one; change.go: redrive and discard it
//	edit.go    an edited copy; diff.go: what is different
package deadletters

import (
	"context"
	"embed"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

// groupsEvery is how often an open page groups again: each time all open dead letters are read.
const groupsEvery = 5 * time.Second

type screen struct{ sources *source.Sources }

// New returns the screen.
func New(sources *source.Sources) page.Screen {
	s := screen{sources}
	return page.Screen{
		Title: "Dead letters", Path: "/dead-letters", Key: "d", Templates: templates,
		Pages: []page.Page{
			{Path: "/dead-letters", Template: "groups.html", Title: "Dead letters", Every: groupsEvery, Load: s.groups},
			{Path: "/dead-letters/all", Template: "list.html", Title: "Dead letters", Load: s.list},
			{Path: "/dead-letters/{service}/{id}", Template: "letter.html", Title: "Dead letter", Load: s.letter},
			{Path: "/dead-letters/{service}/{id}/edit", Template: "edit.html", Title: "Edit a dead letter", Every: page.Never, Load: s.editForm},
		},
		Actions: []page.Action{
			{Path: "/dead-letters/{service}/{id}/redrive", Do: s.redrive},
			{Path: "/dead-letters/{service}/{id}/note", Do: s.note},
			{Path: "/dead-letters/{service}/{id}/discard", Do: s.discard},
			{Path: "/dead-letters/{service}/{id}/check", Template: "difference.html", Do: s.check},
			{Path: "/dead-letters/{service}/{id}/edit", Do: s.edit},
			{Path: "/dead-letters/bulk/{verb}/preview", Template: "preview.html", Role: admin.Admin, Do: s.preview},
			{Path: "/dead-letters/bulk/{verb}", Role: admin.Admin, Do: s.bulk},
		},
	}
}

// services are the services that have dead letters, and are configured.
func (s screen) services() []*source.Client {
	return slices.DeleteFunc(s.sources.All(), func(c *source.Client) bool { return c == s.sources.Relay })
}

// service is one of them by its name; nil: there is no such, or it is not configured.
func (s screen) service(name string) *source.Client {
	for _, c := range s.services() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// chosen are the services that a page is about: one, or all.
func (s screen) chosen(r *page.Request) []*source.Client {
	if name := r.URL.Query().Get("service"); name != "" {
		return slices.DeleteFunc(s.services(), func(c *source.Client) bool { return c.Name() != name })
	}
	return s.services()
}

// conditions are the parameters of a filter, as the API has them.
var conditions = []string{"state", "topic", "type", "key", "cause", "reason", "eventId", "olderThan", "newerThan"}

// filter is the query that the API is asked with.
func filter(value func(string) string, more ...string) string {
	var pairs []string
	for _, name := range conditions {
		pairs = append(pairs, name, strings.TrimSpace(value(name)))
	}
	return query(append(pairs, more...)...)
}

// mayFilter refuses to filter by what the person who asks may not see: whether something is found
// would tell it, a letter at a time.
func mayFilter(r *page.Request) error {
	for _, name := range []string{"key", "reason"} {
		if strings.TrimSpace(r.URL.Query().Get(name)) != "" {
			return r.Need(admin.Reader)
		}
	}
	return nil
}

// each asks several services at once, and returns what those answered that did, in their order. How
// the others failed is noted on the page; if all did, the first error is returned.
func each[T any](ctx context.Context, services []*source.Client, path string) (map[string]T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make([]answer, len(services))
	wait(len(services), func(i int) { answers[i].value, answers[i].err = source.Get[T](ctx, services[i], path) })
	found, failed := map[string]T{}, error(nil)
	for i, a := range answers {
		if a.err == nil {
			found[services[i].Name()] = a.value
		} else if failed == nil {
			failed = a.err
		}
	}
	if len(found) == 0 {
		return nil, failed
	}
	return found, nil
}
