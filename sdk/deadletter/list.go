package deadletter

import (
	"context"
	"fmt"
	"slices"
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

// where returns the condition of a filter, of what restricts and nothing else, and its arguments.
// States are literals: a plan that is made once for all values sees nothing else that says that a
// partial index holds all that is asked for.
func (f Filter) where() (condition string, args pgx.NamedArgs) {
	condition, args = "where "+f.states(), pgx.NamedArgs{}
	and := func(restricts bool, sql, name string, value any) {
		if restricts {
			condition += " and " + sql
			args[name] = value
		}
	}
	and(f.Topic != "", "topic = @topic", "topic", f.Topic)
	and(f.Type != "", "type = @type", "type", f.Type)
	and(f.Key != "", "key = @key", "key", []byte(f.Key))
	and(f.Cause != "", "cause = @cause", "cause", f.Cause)
	and(f.Reason != "", "position(lower(@reason) in lower(reason)) > 0", "reason", f.Reason)
	and(f.EventID != nil, "event_id = @event", "event", f.EventID)
	and(f.Before != nil, "set_aside_at < @before", "before", f.Before)
	and(f.Since != nil, "set_aside_at >= @since", "since", f.Since)
	return condition, args
}

func (f Filter) states() string {
	switch {
	case f.Any:
		return "true"
	case f.State == "":
		return "state in ('dead', 'parked')"
	case slices.Contains(States(), f.State):
		return "state = '" + string(f.State) + "'"
	default:
		return "false" // there is no such state
	}
}

// List returns the dead letters that a filter chooses, newest first.
func (s *Store) List(ctx context.Context, f Filter, p Page) ([]Letter, error) {
	where, args := f.where()
	if p.BeforeID != 0 {
		where += " and id < @below"
		args["below"] = p.BeforeID
	}
	args["limit"] = p.Limit
	rows, err := s.db.Query(ctx, selectSQL+where+" order by id desc limit @limit", args)
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
// The filter's condition stands between the two.
const (
	groupsSQL = `
with hour as (
    select consumer, topic, type, cause, greatest(1, width_bucket(extract(epoch from now() - set_aside_at), 0, @hours * 3600, @hours)) as ago,
        count(*) as letters,
        coalesce(sum((select count(*) from dead_letters p where p.consumer = d.consumer and p.key_id = d.key_id and p.state = 'parked' and p.place > d.place)), 0) as waiting,
        min(set_aside_at) as first, max(set_aside_at) as last, max(id) as newest
    from dead_letters d
`
	groupedSQL = ` and state <> 'parked'
    group by consumer, topic, type, cause, ago)
select consumer, topic, type, cause, sum(letters)::bigint, sum(waiting)::bigint, min(first), max(last), max(newest), array_agg(ago), array_agg(letters),
    coalesce(n.owner, ''), coalesce(n.note, ''), coalesce(n.changed_by, ''), coalesce(n.changed_at, 'epoch'), coalesce(n.revision, 0)
from hour left join dead_letter_notes n using (consumer, topic, type, cause)
group by consumer, topic, type, cause, n.owner, n.note, n.changed_by, n.changed_at, n.revision
order by sum(letters) desc, max(newest) desc limit @limit`
)

// Groups returns dead letters by cause, the largest group first.
func (s *Store) Groups(ctx context.Context, f Filter, limit int) ([]Group, error) {
	if f.State == "" && !f.Any {
		f.State = Dead // what is parked is counted behind them
	}
	where, args := f.where()
	args["limit"], args["hours"] = limit, Hours
	rows, err := s.db.Query(ctx, groupsSQL+where+groupedSQL, args)
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
