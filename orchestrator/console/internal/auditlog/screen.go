// Package auditlog is the console's screen of what operators changed, in all databases: who, what,
// why, from where, before and after; to be filtered, verified and taken away as CSV or JSON lines.
package auditlog

import (
	"context"
	"embed"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/orchestrator/console/internal/outbox"
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
		Title: "Audit log", Path: "/audit-log", Key: "a", Templates: templates,
		Pages: []page.Page{{Path: "/audit-log", Template: "list.html", Title: "Audit log", Load: s.list}},
		Actions: []page.Action{
			{Path: "/audit-log/verify", Template: "verified.html", Role: admin.Reader, Do: s.verify},
		},
		Raw: map[string]func(http.ResponseWriter, *page.Request) error{
			"/audit-log.csv":   s.download("text/csv; charset=utf-8", auditlog.CSV),
			"/audit-log.jsonl": s.download("application/jsonl", auditlog.JSONLines),
		},
	}
}

// answer is a page of the relay's.
type answer struct {
	Items []auditlog.Record
	Next  string
}

// filter is what the URL asks for, as the API takes it.
func filter(asked url.Values, now time.Time) (url.Values, error) {
	query := url.Values{}
	for _, name := range []string{"actor", "action", "object"} {
		if value := strings.TrimSpace(asked.Get(name)); value != "" {
			query.Set(name, value)
		}
	}
	if since := strings.TrimSpace(asked.Get("since")); since != "" {
		ago, err := time.ParseDuration(since)
		if err != nil || ago < 0 {
			return nil, page.Invalid(strconv.Quote(since) + " is not a duration such as 30m or 24h")
		}
		query.Set("since", now.Add(-ago).UTC().Format(time.RFC3339))
	}
	return query, nil
}

// databases are those that a page is about: one, or all.
func (s screen) databases(ctx context.Context, asked url.Values) (chosen, all []string, err error) {
	all, err = outbox.Databases(ctx, s.relay)
	if name := asked.Get("database"); name != "" {
		return []string{name}, all, err
	}
	return all, all, err
}

// path is where the API has the log of a database.
func path(database string, query url.Values) string {
	return page.Path("/v1/outbox/%s/audit-log?", database) + query.Encode()
}
