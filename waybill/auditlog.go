package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"

	"waybill.example/chassis/apiclient"
	"waybill.example/chassis/auditlog"
	saga "waybill.example/orchestrator/cli"
)

// auditLogVerbs read the audit logs of all databases that the relay serves.
type auditLogVerbs struct {
	List   auditLogList   `cmd:"" help:"List who changed what, newest first."`
	Export auditLogExport `cmd:"" help:"Print the whole log, oldest first, as JSON lines or CSV."`
	Verify auditLogVerify `cmd:"" help:"Check that no entry was changed or removed; prints where the log ends, to be kept."`
}

// auditLogs is where audit logs are read, and of which databases.
type auditLogs struct {
	services `embed:""`
	Database []string `help:"Only these databases, named as the relay names them." short:"d"`
}

// entry is a record and where it is.
type entry = auditlog.Located

// databases lists the databases to read, all of the relay's unless some were named.
func (a *auditLogs) databases(ctx context.Context) ([]string, error) {
	if len(a.Database) > 0 {
		return a.Database, nil
	}
	var list struct{ Sources []struct{ Database string } }
	if err := a.get(ctx, "relay", "/v1/sources", &list); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range list.Sources {
		names = append(names, s.Database)
	}
	return names, nil
}

// auditLogPage is a page of a log.
type auditLogPage struct {
	Items []auditlog.Record
	Next  string
}

func (a *auditLogs) page(ctx context.Context, database string, query url.Values) (page auditLogPage, err error) {
	err = a.get(ctx, "relay", "/v1/outbox/"+url.PathEscape(database)+"/audit-log?"+query.Encode(), &page)
	if apiclient.NotFound(err) {
		return page, fmt.Errorf("the relay has no database %q; see waybill relay status, or GET /v1/sources", database)
	}
	return page, err
}

// all yields the records of a database from the one after seq, oldest first.
func (a *auditLogs) all(ctx context.Context, database string, seq int64) iter.Seq2[auditlog.Record, error] {
	return func(yield func(auditlog.Record, error) bool) {
		query := url.Values{"order": {"oldest"}, "after": {strconv.FormatInt(seq, 10)}, "limit": {"500"}}
		for {
			page, err := a.page(ctx, database, query)
			if err != nil {
				yield(auditlog.Record{}, err)
				return
			}
			for _, r := range page.Items {
				if !yield(r, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

type auditLogList struct {
	auditLogs
	Actor  string        `help:"Only entries of this actor."`
	Action string        `help:"Only entries of this action, as outbox.retry."`
	Object string        `help:"Only entries of this object, as saga/order/4711."`
	Since  time.Duration `help:"Only entries of the last while, as 24h."`
	Limit  int           `default:"50" help:"The most entries of each database."`
}

// Run prints entries of all databases, newest first.
func (c *auditLogList) Run(t saga.Terminal) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"actor": c.Actor, "action": c.Action, "object": c.Object} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Since > 0 {
		query.Set("since", time.Now().Add(-c.Since).UTC().Format(time.RFC3339))
	}
	databases, err := c.databases(t.Context)
	if err != nil {
		return err
	}
	entries := []entry{}
	for _, database := range databases {
		page, err := c.page(t.Context, database, query)
		if err != nil {
			return err
		}
		for _, r := range page.Items {
			entries = append(entries, entry{Database: database, Record: r})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return b.At.Compare(a.At) })
	if c.JSON {
		return printJSON(t.Out, entries)
	}
	return printEntries(t.Out, entries)
}

func printEntries(out io.Writer, entries []entry) error {
	rows := [][]string{{"DATABASE", "NUMBER", "WHEN", "WHO", "FROM", "WHAT", "OBJECT", "WHY", "RESULT"}}
	for _, e := range entries {
		result := e.Result
		if result == "" {
			result = string(e.After)
		}
		rows = append(rows, []string{
			e.Database, strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339), e.Actor, e.Client, e.Action, e.Object, e.Reason, result,
		})
	}
	table(out, rows, "No entries.")
	return nil
}

type auditLogExport struct {
	auditLogs
	Format string `enum:"jsonl,csv" default:"jsonl" help:"${enum}. JSON lines can be verified; CSV is for spreadsheets."`
}

// Run prints every entry, database by database.
func (c *auditLogExport) Run(t saga.Terminal) error {
	databases, err := c.databases(t.Context)
	if err != nil {
		return err
	}
	export := auditlog.JSONLines(t.Out)
	if c.Format == "csv" {
		export = auditlog.CSV(t.Out)
	}
	for _, database := range databases {
		for r, err := range c.all(t.Context, database, 0) {
			if err == nil {
				err = export.Write(entry{Database: database, Record: r})
			}
			if err != nil {
				return errors.Join(err, export.Flush())
			}
		}
	}
	return export.Flush()
}
