// Package sagas is the screen of sagas: a list that can be filtered and paged, one saga with all
// that is known of it, and what an operator can do about one or many.
//
//	list.go      the list
//	one.go       one saga: where it stands, its diagram and its transitions
//	explain.go   what stands in the way
//	trail.go     the timeline over all services, where the time went, messages and data
//	act.go       interventions, and their previews
//	batch.go     the same in many sagas
//	diff.go      what changed in a saga's data
//	snippets.go  a message or a saga as curl, SQL and a Go test
package sagas

import (
	"embed"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

type screen struct{ sources *source.Sources }

// New returns the screen.
func New(s *source.Sources) page.Screen {
	x := &screen{s}
	return page.Screen{
		Title: "Sagas", Path: "/sagas", Key: "s", Templates: templates,
		Pages: []page.Page{
			{Path: "/sagas", Template: "sagas.html", Title: "Sagas", Every: listEvery, Load: x.list},
			{Path: "/sagas/batch", Template: "batch.html", Title: "Intervene in many sagas", Every: page.Never, Load: x.batch},
			{Path: "/sagas/{definition}/{id}", Template: "saga.html", Title: "Saga", Every: oneEvery, Load: x.one},
		},
		Fragments: []page.Fragment{
			{Path: "/sagas/{definition}/{id}/explain", Template: "explain.html", Load: x.explain},
			{Path: "/sagas/{definition}/{id}/trail", Template: "trail.html", Load: x.trail},
			{Path: "/sagas/{definition}/{id}/preview", Template: "preview.html", Load: x.preview},
		},
		Actions: []page.Action{
			{Path: "/sagas/{definition}/{id}/act", Do: x.act},
			{Path: "/sagas/batch", Role: admin.Admin, Do: x.start},
		},
	}
}
