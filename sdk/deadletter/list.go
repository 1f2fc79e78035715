package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Get returns one dead letter, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, id int64) (Letter, error) {
	l, err := get(ctx, s.db, id)
	if err != nil {
		return l, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	return l, nil
}

// Filter chooses dead letters. What is zero does not restrict.
type Filter struct {
	State   State // "" stands for the open ones: dead and parked
	Any     bool  // whatever the state
	Topic   string
	Type    string
	Key     string
	Cause   string // all of it
	Reason  string // a part of it, in any case of letters
	EventID *uuid.UUID
	Before  *time.Time // set aside before
	Since   *time.Time // set aside at or after
}

// Page is a part of a list, newest first.
type Page struct {
	BeforeID int64 // 0: from the newest
	Limit    int
}

const whereSQL = `
where case when @any::bool then true when @state = '' then state in ('dead', 'parked') else state = @state end
  and (@topic = '' or topic = @topic) and (@type = '' or type = @type)
  and (@key = '' or key = convert_to(@key, 'UTF8')) and (@cause = '' or cause = @cause)
  and (@reason = '' or position(lower(@reason) in lower(reason)) > 0)
  and (@event::uuid is null or event_id = @event) and (@before::timestamptz is null or set_aside_at < @before)
  and (@since::timestamptz is null or set_aside_at >= @since)`

func (f Filter) args() pgx.NamedArgs {
	return pgx.NamedArgs{
		"any": f.Any, "state": string(f.State), "topic": f.Topic, "type": f.Type, "key": f.Key, "cause": f.Cause,
		"reason": f.Reason, "event": f.EventID, "before": f.Before, "since": f.Since,
	}
}

const listSQL = selectSQL + whereSQL + ` and (@below = 0 or id < @below) order by id desc limit @limit`

// List returns the dead letters that a filter chooses, newest first.
func (s *Store) List(ctx context.Context, f Filter, p Page) ([]Letter, error) {
	args := f.args()
	args["below"], args["limit"] = p.BeforeID, p.Limit
	rows, err := s.db.Query(ctx, listSQL, args)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return list, nil
}

// Group is dead letters of one cause.
type Group struct {
	Consumer  string
	Topic     string
	Type      string
	Cause     string
	Count     int64
	Waiting   int64 // parked behind them
	FirstSeen time.Time
	LastSeen  time.Time
	Example   int64 // the newest of them
	// Hourly is how many of them were set aside in each of the last [Hours] hours, the oldest hour
	// first.
	Hourly []int64
	// Note says who looks at them; it is empty where nobody has written one.
	Note GroupNote
}

// Hours is how many hours [Group].Hourly has.
const Hours = 24

// An hour is counted from now: 1 is the last one, and what is longer ago has the number Hours + 1.
const groupsSQL = `
with hour as (
    select consumer, topic, type, cause, greatest(1, width_bucket(extract(epoch from now() - set_aside_at), 0, @hours * 3600, @hours)) as ago,
        count(*) as letters,
        coalesce(sum((select count(*) from dead_letters p where p.consumer = d.consumer and p.key_id = d.key_id and p.state = 'parked' and p.place > d.place)), 0) as waiting,
        min(set_aside_at) as first, max(set_aside_at) as last, max(id) as newest
    from dead_letters d` + whereSQL + ` and state <> 'parked'
    group by consumer, topic, type, cause, ago)
select consumer, topic, type, cause, sum(letters)::bigint, sum(waiting)::bigint, min(first), max(last), max(newest), array_agg(ago), array_agg(letters),
    coalesce(n.owner, ''), coalesce(n.note, ''), coalesce(n.changed_by, ''), coalesce(n.changed_at, 'epoch'), coalesce(n.revision, 0)
from hour left join dead_letter_notes n using (consumer, topic, type, cause)
group by consumer, topic, type, cause, n.owner, n.note, n.changed_by, n.changed_at, n.revision
order by sum(letters) desc, max(newest) desc limit @limit`

// Groups returns dead letters by cause, the largest group first.
func (s *Store) Groups(ctx context.Context, f Filter, limit int) ([]Group, error) {
	args := f.args()
	args["limit"], args["hours"] = limit, Hours
	rows, err := s.db.Query(ctx, groupsSQL, args)
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	groups, err := pgx.CollectRows(rows, scanGroup)
	if err != nil {
		return nil, fmt.Errorf("group dead letters: %w", err)
	}
	return groups, nil
}

func scanGroup(row pgx.CollectableRow) (Group, error) {
	g := Group{Hourly: make([]int64, Hours)}
	var ago []int
	var letters []int64
	err := row.Scan(&g.Consumer, &g.Topic, &g.Type, &g.Cause, &g.Count, &g.Waiting, &g.FirstSeen, &g.LastSeen, &g.Example, &ago, &letters,
		&g.Note.Owner, &g.Note.Note, &g.Note.By, &g.Note.ChangedAt, &g.Note.Revision)
	for i, n := range ago {
		if n <= Hours {
			g.Hourly[Hours-n] = letters[i]
		}
	}
	return g, err
}

const waitingSQL = `
select id, "partition", "offset", type, event_id, state, set_aside_at from dead_letters
where consumer = $1 and key_id = $2 and state in ('dead', 'parked') and place > $3 order by place limit $4`

// Waiter is a message that waits behind another one of its key.
type Waiter struct {
	ID         int64
	Partition  int32
	Offset     int64
	Type       string
	EventID    *uuid.UUID
	State      State
	SetAsideAt time.Time
}

// Waiting returns what waits behind an open message, in order.
func (s *Store) Waiting(ctx context.Context, l Letter, limit int) ([]Waiter, error) {
	if l.KeyID == nil || !l.State.Open() {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, waitingSQL, l.Consumer, l.KeyID, l.Place, limit)
	if err != nil {
		return nil, fmt.Errorf("read what waits behind dead letter %d: %w", l.ID, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Waiter])
	if err != nil {
		return nil, fmt.Errorf("read what waits behind dead letter %d: %w", l.ID, err)
	}
	return list, nil
}

const handledBySQL = `select consumer, handled_at from inbox where event_id = $1 order by consumer`

// Handled says that a consumer with effects in this database has handled a message.
type Handled struct {
	Consumer string
	At       time.Time
}

// HandledBy returns who has handled the message already. Redriven, it is a duplicate to those.
func (s *Store) HandledBy(ctx context.Context, l Letter) ([]Handled, error) {
	if l.EventID == nil {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, handledBySQL, l.EventID)
	if err != nil {
		return nil, fmt.Errorf("read who handled the message of dead letter %d: %w", l.ID, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Handled])
	if err != nil {
		return nil, fmt.Errorf("read who handled the message of dead letter %d: %w", l.ID, err)
	}
	return list, nil
}

// Stats is how many messages of a consumer and topic are open.
type Stats struct {
	Consumer string
	Topic    string
	Dead     int64
	Parked   int64
	Oldest   *time.Time // when the oldest dead one was set aside
}

const statsSQL = `
select consumer, topic, count(*) filter (where state = 'dead'), count(*) filter (where state = 'parked'),
    min(set_aside_at) filter (where state = 'dead')
from dead_letters where state in ('dead', 'parked')
group by consumer, topic order by consumer, topic`

// Stats counts what is open.
func (s *Store) Stats(ctx context.Context) ([]Stats, error) {
	rows, err := s.db.Query(ctx, statsSQL)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	stats, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Stats])
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	return stats, nil
}
