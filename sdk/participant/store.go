package participant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/inbox"
	"waybill.example/sdk/internal/setup"
)

// key identifies a row.
type key struct{ saga, step string }

func (k key) compare(other key) int {
	return cmp.Or(cmp.Compare(k.saga, other.saga), cmp.Compare(k.step, other.step))
}

// records are the rows of a batch's steps, as they were and as they are to be.
type records struct {
	before, now map[key]record
}

func (r *records) get(k key) record        { return r.now[k] }
func (r *records) set(k key, after record) { r.now[k] = after }

// The arguments are in the order of the primary key, and so are the locks, so that two batches do
// not deadlock: a subquery that locks is not flattened, so the plan is a loop over the arguments
// with a probe of the index for each, however large the table is. Nearly all find nothing.
const loadSQL = `
select s.*
from unnest($1::text[], $2::text[]) as n (saga, step), lateral (
    select saga, step, state, coalesce(reply_type, ''), reply, coalesce(undo_type, ''), undo_reply
    from participant_steps
    where saga = n.saga and step = n.step
    for update) as s`

// load queues the statement that reads and locks the rows of a batch.
func load(reads *pgx.Batch, batch []inbox.Received[*command]) *records {
	r := &records{before: make(map[key]record), now: make(map[key]record)}
	keys := make([]key, len(batch))
	for i, c := range batch {
		keys[i] = c.Message.key
	}
	slices.SortFunc(keys, key.compare)
	keys = slices.Compact(keys)
	sagas, steps := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		sagas[i], steps[i] = k.saga, k.step
	}
	reads.Queue(loadSQL, sagas, steps).Query(func(rows pgx.Rows) error {
		var k key
		var is record
		_, err := pgx.ForEachRow(rows, []any{&k.saga, &k.step, &is.state, &is.reply.kind, &is.reply.body, &is.undo.kind, &is.undo.body}, func() error {
			r.before[k], r.now[k] = is, is
			return nil
		})
		return err
	})
	return r
}

// A row that is there already was decided by another transaction in the meantime: see the package
// comment.
const addSQL = `
with added as (
    insert into participant_steps (saga, step, state, reply_type, reply, undo_type, undo_reply, undone_at)
    select saga, step, state, nullif(reply_type, ''), reply, nullif(undo_type, ''), undo_reply,
           case state when 'UNDONE' then now() end
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[])
      as n (saga, step, state, reply_type, reply, undo_type, undo_reply)
    order by saga collate "C", step collate "C"
    on conflict do nothing
    returning 1)
select inbox_expect(count(*), cardinality($1)) from added`

// These rows are locked.
const changeSQL = `
update participant_steps s
set state = n.state, reply_type = nullif(n.reply_type, ''), reply = n.reply, undo_type = nullif(n.undo_type, ''),
    undo_reply = n.undo_reply, undone_at = case n.state when 'UNDONE' then coalesce(s.undone_at, now()) end
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[])
  as n (saga, step, state, reply_type, reply, undo_type, undo_reply)
where s.saga = n.saga and s.step = n.step`

// save queues what has changed.
func (r *records) save(batch *pgx.Batch) {
	var added, changed []key
	for k, now := range r.now {
		switch was, existed := r.before[k]; {
		case !existed:
			added = append(added, k)
		case was.state != now.state || was.reply.kind != now.reply.kind || was.undo.kind != now.undo.kind:
			changed = append(changed, k)
		}
	}
	if len(added) > 0 {
		batch.Queue(addSQL, r.columns(added)...)
	}
	if len(changed) > 0 {
		batch.Queue(changeSQL, r.columns(changed)...)
	}
}

// columns are rows as one array per column.
func (r *records) columns(keys []key) []any {
	slices.SortFunc(keys, key.compare)
	n := len(keys)
	sagas, steps, states := make([]string, n), make([]string, n), make([]string, n)
	replies, undos := make([]string, n), make([]string, n)
	replyBodies, undoBodies := make(pgtype.FlatArray[[]byte], n), make(pgtype.FlatArray[[]byte], n)
	for i, k := range keys {
		is := r.now[k]
		sagas[i], steps[i], states[i] = k.saga, k.step, string(is.state)
		replies[i], replyBodies[i] = is.reply.kind, is.reply.body
		undos[i], undoBodies[i] = is.undo.kind, is.undo.body
	}
	return []any{sagas, steps, states, replies, replyBodies, undos, undoBodies}
}

const forgetSQL = `
delete from participant_steps where ctid = any (array(
    select ctid from participant_steps where decided_at < $1 order by decided_at limit $2 for update skip locked))`

// Forget deletes at most limit rows of steps that were first decided before a time, and returns how
// many there were. A saga that asks for such a step after that is carried out again: keep rows for
// longer than the longest saga takes, its window for cancellations and the retention of the command
// topic included.
func Forget(ctx context.Context, db *pgxpool.Pool, before time.Time, limit int) (int, error) {
	tag, err := db.Exec(ctx, forgetSQL, before, limit)
	if err != nil {
		return 0, fmt.Errorf("forget steps of participants: %w", setup.Explain(err))
	}
	return int(tag.RowsAffected()), nil
}
