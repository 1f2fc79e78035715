package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
)

// Coverage is what really happened to the newest sagas of one version of a definition.
type Coverage struct {
	Definition  string         `json:"definition"`
	Version     int            `json:"version"`
	Sagas       int64          `json:"sagas" doc:"How many were looked at: the newest"`
	Since       *time.Time     `json:"since,omitempty" doc:"When the oldest of them began"`
	Transitions []Happened     `json:"transitions" nullable:"false" doc:"What moved them, and how often"`
	Sent        []SentCommands `json:"sent" nullable:"false" doc:"The commands that they sent"`
}

// Happened is one kind of transition, and how often it was made.
type Happened struct {
	Kind      string `json:"kind"`
	Step      string `json:"step,omitempty"`
	CauseType string `json:"causeType" doc:"The message, the operator's action, or deadline"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	Count     int64  `json:"count"`
}

// SentCommands is how often the command of a step, or its undo, was sent.
type SentCommands struct {
	Step  string `json:"step"`
	Undo  bool   `json:"undo,omitzero"`
	Count int64  `json:"count"`
}

// Both queries read at most the newest searchRows sagas, by their index, and of those chosen the
// transitions by their primary key.
const (
	newestSQL = `
with newest as materialized (
    select id, definition, started_at
      from (select id, definition, version, started_at from sagas order by started_at desc, id desc limit @rows) as s
     where definition = @definition and version = @version
     limit @sample)`
	happenedSQL = newestSQL + `
select t.kind, t.step, t.cause_type, t.from_state, t.to_state, count(*)
  from newest n join saga_transitions t on t.saga_id = n.id and t.definition = n.definition
 group by 1, 2, 3, 4, 5 order by 6 desc, 1, 2, 3, 4, 5`
	sentSQL = newestSQL + `
select c ->> 'step', coalesce((c ->> 'undo')::boolean, false), count(*)
  from newest n join saga_transitions t on t.saga_id = n.id and t.definition = n.definition
 cross join lateral jsonb_array_elements(t.commands) as c
 group by 1, 2 order by 1, 2`
	sampleSQL = newestSQL + `
select count(*), min(started_at) from newest`
)

// Coverage looks at the newest sagas of a version, sample at most.
func (i *Inspector) Coverage(ctx context.Context, d *saga.Definition, sample int) (Coverage, error) {
	described := d.Describe()
	c := Coverage{Definition: described.Name, Version: described.Version, Transitions: []Happened{}, Sent: []SentCommands{}}
	args := pgx.NamedArgs{"rows": searchRows, "definition": c.Definition, "version": c.Version, "sample": sample}
	batch := &pgx.Batch{}
	batch.Queue(sampleSQL, args).QueryRow(func(row pgx.Row) error { return row.Scan(&c.Sagas, &c.Since) })
	batch.Queue(happenedSQL, args).Query(func(rows pgx.Rows) (err error) {
		c.Transitions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Happened])
		return err
	})
	batch.Queue(sentSQL, args).Query(func(rows pgx.Rows) (err error) {
		c.Sent, err = pgx.CollectRows(rows, pgx.RowToStructByPos[SentCommands])
		return err
	})
	if err := i.db.SendBatch(ctx, batch).Close(); err != nil {
		return Coverage{}, fmt.Errorf("count transitions: %w", err)
	}
	return c, nil
}
