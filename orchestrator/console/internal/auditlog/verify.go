package auditlog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"time"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/auditlog"
	"waybill.example/orchestrator/console/internal/page"
)

// verified is what came of the check of one database.
type verified struct {
	Database string `json:"database"`
	Entries  int64  `json:"entries"`
	End      string `json:"end,omitempty"`
	Fault    string `json:"fault,omitempty"`
}

// verifyFor bounds a check in the console. A longer one is the command's.
const verifyFor = 20 * time.Second

// verify checks the chains of all databases, from the first entry to the last.
func (s screen) verify(ctx context.Context, r *page.Request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyFor)
	defer cancel()
	databases, _, err := s.databases(ctx, r.URL.Query())
	if err != nil {
		return nil, err
	}
	results := []verified{}
	for _, database := range databases {
		v := verified{Database: database}
		var chain auditlog.Chain
		for record, err := range s.all(ctx, database, url.Values{}) {
			if ctx.Err() != nil {
				return nil, page.Invalid("it takes longer than a page may: use `waybill audit-log verify`")
			}
			if err != nil {
				return nil, err
			}
			if err := chain.Follow(record); err != nil {
				v.Fault = err.Error()
				break
			}
		}
		v.Entries, v.End = chain.Seq, chain.String()
		results = append(results, v)
	}
	return results, nil
}

// all yields the entries of a database that a filter chooses, oldest first.
func (s screen) all(ctx context.Context, database string, query url.Values) iter.Seq2[auditlog.Record, error] {
	return func(yield func(auditlog.Record, error) bool) {
		query.Set("order", "oldest")
		query.Set("limit", "500")
		query.Del("cursor")
		for {
			var found answer
			raw, err := s.relay.Read(ctx, path(database, query))
			if err == nil {
				err = json.Unmarshal(raw, &found)
			}
			if err != nil {
				yield(auditlog.Record{}, fmt.Errorf("read the audit log of %s: %w", database, err))
				return
			}
			for _, record := range found.Items {
				if !yield(record, nil) {
					return
				}
			}
			if found.Next == "" {
				return
			}
			query.Set("cursor", found.Next)
		}
	}
}

// download answers with all entries that the URL chooses, oldest first.
func (s screen) download(kind string, format func(io.Writer) auditlog.Export) func(http.ResponseWriter, *page.Request) error {
	return func(w http.ResponseWriter, r *page.Request) error {
		if err := r.Need(admin.Reader); err != nil {
			return err
		}
		query, err := filter(r.URL.Query(), time.Now())
		if err != nil {
			return err
		}
		databases, _, err := s.databases(r.Context(), r.URL.Query())
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": r.URL.Path[1:]}))
		export := format(w)
		for _, database := range databases {
			for record, err := range s.all(r.Context(), database, query) {
				if err == nil {
					err = export.Write(auditlog.Located{Database: database, Record: record})
				}
				if err != nil {
					panic(http.ErrAbortHandler) // what was sent says that all is well: the client must see that it is not
				}
			}
		}
		return export.Flush()
	}
}
