package auditlog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"waybill.example/chassis/auditlog"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
)

// shown is how many entries a page has.
const shown = 50

// entry is an entry as the reader may see it.
type entry struct {
	Database string       `json:"database"`
	Seq      int64        `json:"seq"`
	At       time.Time    `json:"at"`
	Actor    string       `json:"actor"`
	Client   string       `json:"client"`
	Action   string       `json:"action"`
	Object   string       `json:"object"`
	Reason   string       `json:"reason"`
	Before   page.Payload `json:"before"`
	After    page.Payload `json:"after"`
	Result   string       `json:"result"`
	Changes  []change     `json:"changes,omitempty"`
}

// change is a member of what was changed, before and after.
type change struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Path is where the console has the object; empty: nowhere.
func (e entry) Path() string {
	kind, rest, _ := strings.Cut(e.Object, "/")
	switch kind {
	case "outbox":
		if rest == "" {
			return page.Path("/outbox/%s", e.Database)
		}
		return page.Path("/outbox/%s/rows/%s", e.Database, rest)
	case "replay":
		return page.Path("/outbox/%s", e.Database) + "?show=replays"
	case "dead-letter":
		return page.Path("/dead-letters/%s/%s", e.Database, rest)
	case "job":
		return page.Path("/batches/%s/%s", e.Database, rest)
	case "saga":
		if definition, id, ok := strings.Cut(rest, "/"); ok {
			return page.Path("/sagas/%s/%s", definition, id)
		}
	}
	return ""
}

type listPage struct {
	Entries   []entry  `json:"entries"`
	Next      string   `json:"next,omitempty"` // the cursor of the next page
	Databases []string `json:"-"`
}

func (s screen) list(ctx context.Context, r *page.Request) (any, error) {
	asked := r.URL.Query()
	query, err := filter(asked, time.Now())
	if err != nil {
		return nil, err
	}
	chosen, all, err := s.databases(ctx, asked)
	if err != nil {
		return nil, err
	}
	below := readCursor(asked.Get("cursor"))
	query.Set("limit", strconv.Itoa(shown))
	lists, err := s.pages(ctx, chosen, query, below)
	if err != nil {
		return nil, err
	}
	p := newList(r, lists, below)
	p.Databases = all
	return p, nil
}

// pages asks all databases at once.
func (s screen) pages(ctx context.Context, databases []string, query url.Values, below map[string]int64) (map[string]answer, error) {
	answers := make([]answer, len(databases))
	var asking errgroup.Group
	for i, database := range databases {
		query := maps.Clone(query)
		if seq := below[database]; seq > 0 {
			query.Set("before", strconv.FormatInt(seq, 10))
		}
		asking.Go(func() (err error) {
			answers[i], err = source.Get[answer](ctx, s.relay, path(database, query))
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	lists := map[string]answer{}
	for i, database := range databases {
		lists[database] = answers[i]
	}
	return lists, nil
}

// newList puts the newest entries of all databases together. below is where the page began.
func newList(r *page.Request, lists map[string]answer, below map[string]int64) listPage {
	var found []auditlog.Located
	more := false
	for database, list := range lists {
		for _, record := range list.Items {
			found = append(found, auditlog.Located{Database: database, Record: record})
		}
		more = more || list.Next != ""
	}
	slices.SortFunc(found, func(a, b auditlog.Located) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Database, b.Database), cmp.Compare(b.Seq, a.Seq))
	})
	p := listPage{Entries: []entry{}}
	next := maps.Clone(below)
	for _, record := range found[:min(shown, len(found))] {
		p.Entries = append(p.Entries, newEntry(r, record))
		next[record.Database] = record.Seq
	}
	if more || len(found) > shown {
		p.Next = cursor(next)
	}
	return p
}

func newEntry(r *page.Request, record auditlog.Located) entry {
	e := entry{
		Database: record.Database, Seq: record.Seq, At: record.At, Actor: record.Actor, Client: record.Client, Action: record.Action,
		Object: record.Object, Reason: record.Reason, Result: record.Result, Before: r.Payload(value(record.Before)), After: r.Payload(value(record.After)),
	}
	if !e.Before.Masked() && !e.After.Masked() {
		e.Changes = changes(record.Before, record.After)
	}
	return e
}

// value is nothing where JSON says null.
func value(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// changes are the members of two objects that differ; none where one of them is no object.
func changes(before, after json.RawMessage) []change {
	var old, now map[string]json.RawMessage
	if json.Unmarshal(before, &old) != nil || json.Unmarshal(after, &now) != nil || old == nil && now == nil {
		return nil
	}
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range now {
		names[name] = true
	}
	var found []change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !bytes.Equal(old[name], now[name]) {
			found = append(found, change{name, string(old[name]), string(now[name])})
		}
	}
	return found
}

// cursor says below which entry of each database the next page begins.
func cursor(below map[string]int64) string {
	var parts []string
	for _, database := range slices.Sorted(maps.Keys(below)) {
		parts = append(parts, database+":"+strconv.FormatInt(below[database], 10))
	}
	return strings.Join(parts, ",")
}

// readCursor passes over what is none.
func readCursor(text string) map[string]int64 {
	below := map[string]int64{}
	for part := range strings.SplitSeq(text, ",") {
		database, seq, _ := strings.Cut(part, ":")
		if n, err := strconv.ParseInt(seq, 10, 64); err == nil && n > 0 {
			below[database] = n
		}
	}
	return below
}
