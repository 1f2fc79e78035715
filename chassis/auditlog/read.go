package auditlog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Record is an entry as it was recorded.
type Record struct {
	Seq      int64           `json:"seq" doc:"The number of the entry in its database, from 1, without gaps."`
	At       time.Time       `json:"at" format:"date-time"`
	Actor    string          `json:"actor" doc:"The holder of the token, or the user of the operating system and who that says they are."`
	Client   string          `json:"client" doc:"Where the request came from, as the service saw it; empty: a command on the machine itself."`
	DBRole   string          `json:"dbRole" doc:"The login of the database session that recorded it."`
	DBClient string          `json:"dbClient" doc:"The address of that session; empty: a socket."`
	Action   string          `json:"action" example:"outbox.retry"`
	Object   string          `json:"object" example:"outbox/17"`
	Reason   string          `json:"reason"`
	Before   json.RawMessage `json:"before" doc:"What it was before, where that is known."`
	After    json.RawMessage `json:"after" doc:"What it is after, where that is known."`
	Result   string          `json:"result"`
	Previous []byte          `json:"previous" doc:"The hash of the entry before, in base64; empty for the first."`
	Hash     []byte          `json:"hash" doc:"The hash of this entry, in base64."`
	// Masked: the hash is not of what is here.
	Masked bool `json:"masked,omitempty" db:"-" doc:"True where fields of before or after are hidden from you: the hash is of what was recorded."`
}

// Filter says which entries to list. The zero value of a field does not restrict.
type Filter struct {
	Actor, Action, Object string
	Since, Until          time.Time
	// After and Before are sequence numbers that the entries lie between, both excluded.
	After, Before int64
	// Oldest lists the oldest entries first, as a chain is checked; newest first otherwise.
	Oldest bool
	// Limit is the most entries to return, 100 if it is 0.
	Limit int
}

// Queries is what a pool, a connection and a transaction of pgx have in common.
type Queries interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const listSQL = `
select seq, at, actor, client, db_role, db_client, action, object, reason, before, after, result, previous, hash
  from public.audit_log
 where ($1 = '' or actor = $1) and ($2 = '' or action = $2) and ($3 = '' or object = $3)
   and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
   and seq > $6 and ($7 = 0 or seq < $7)
 order by case when $8 then seq else -seq end
 limit $9`

// List returns entries of a database.
func List(ctx context.Context, db Queries, f Filter) ([]Record, error) {
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	rows, _ := db.Query(ctx, listSQL, f.Actor, f.Action, f.Object, instant(f.Since), instant(f.Until), f.After, f.Before, f.Oldest, limit)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Record])
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return all, nil
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
