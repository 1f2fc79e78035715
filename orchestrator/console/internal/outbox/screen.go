// Package outbox is the console's screen of the outboxes: what waits to be published in each
// database, what is stuck and why, what waits behind it, and what was sent; with what an operator
// does about it: retry, discard, replay, pause.
//
//	screen.go    the pages and changes
//	api.go       what the relay's API answers
//	overview.go  all databases; database.go: one; row.go: one row
//	change.go    retry, discard, pause and resume; replay.go: replays and their dry run
//	topic.go     a topic that is missing, and its creation
package outbox

import (
	"embed"

	"waybill.example/chassis/admin"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

//go:embed *.html
var templates embed.FS

type screen struct{ relay *source.Client }

// New returns the screen.
func New(sources *source.Sources) page.Screen {
	s := screen{sources.Relay}
	return page.Screen{
		Title: "Outbox", Path: "/outbox", Key: "x", Templates: templates,
		Pages: []page.Page{
			{Path: "/outbox", Template: "overview.html", Title: "Outbox", Load: s.overview},
			{Path: "/outbox/{database}", Template: "database.html", Title: "Outbox", Load: s.database},
			{Path: "/outbox/{database}/rows/{id}", Template: "row.html", Title: "Outbox row", Load: s.row},
			{Path: "/outbox/{database}/replay", Template: "replay.html", Title: "Replay", Every: page.Never, Load: s.replayForm},
		},
		Fragments: []page.Fragment{
			{Path: "/outbox/{database}/topics/{topic}/preview", Template: "topic.html", Role: admin.Operator, Load: s.planTopic},
		},
		Actions: []page.Action{
			{Path: "/outbox/{database}/topics/{topic}/create", Do: s.createTopic},
			{Path: "/outbox/{database}/rows/{id}/retry", Do: s.retry},
			{Path: "/outbox/{database}/rows/{id}/discard", Do: s.discard},
			{Path: "/outbox/{database}/stuck/retry", Role: admin.Admin, Do: s.retryGroup},
			{Path: "/outbox/{database}/pause", Do: s.pause},
			{Path: "/outbox/{database}/resume", Do: s.resume},
			{Path: "/outbox/{database}/replay/preview", Template: "plan.html", Role: admin.Admin, Do: s.planReplay},
			{Path: "/outbox/{database}/replay", Role: admin.Admin, Do: s.startReplay},
			{Path: "/outbox/{database}/replays/{id}/cancel", Do: s.cancelReplay},
		},
	}
}
