package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// databases are the three databases of a stack, by name.
type databases map[string]*pgxpool.Pool

// names is every database with an outbox.
var names = []string{"orders", "inventory", "orchestrator"}

// openDatabases makes a small pool for each URL.
func openDatabases(ctx context.Context, urls map[string]string) (_ databases, err error) {
	dbs := databases{}
	defer func() {
		if err != nil {
			dbs.close()
		}
	}()
	for _, name := range names {
		url, ok := urls[name]
		if !ok {
			return nil, fmt.Errorf("the audit needs the database %q", name)
		}
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return nil, fmt.Errorf("the URL of the database %q cannot be read", name) // it may hold a password
		}
		cfg.MaxConns = 2
		cfg.ConnConfig.RuntimeParams["application_name"] = "waybill-audit"
		// The audit may be run by a superuser: what was planted in a schema must not run as one.
		cfg.ConnConfig.RuntimeParams["search_path"] = "pg_catalog, pg_temp"
		// Not with the connection: a URL may ask for the one of several hosts that takes writes.
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, `set default_transaction_read_only = on`)
			return err
		}
		if dbs[name], err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
			return nil, fmt.Errorf("open the database %q: %w", name, err)
		}
	}
	return dbs, nil
}

func (d databases) close() {
	for _, pool := range d {
		pool.Close()
	}
}

// age is an expression for how long ago something was. Anybody can write any timestamp: what is no
// time of ours is as old as can be, and does not make the query fail.
func age(at string) string {
	return `case when ` + at + ` between clock_timestamp() - interval '100 years' and clock_timestamp() + interval '1 hour'
             then clock_timestamp() - ` + at + ` else interval '100 years' end`
}

// collect reads every row of a query.
func collect[T any](ctx context.Context, db *pgxpool.Pool, sql string, args ...any) ([]T, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
}

// oldestSQL tells since when the outbox has its rows; null where none has been removed.
const oldestSQL = `
select case when o.id > 1 then least(greatest(o.created_at, '1970-01-01'), clock_timestamp())
            when o.id is null and not isempty(c.published) then clock_timestamp() end
  from public.outbox_cursor c left join (select id, created_at from public.outbox order by id limit 1) o on true`

// remembered is the time from which on every outbox still has its rows.
func (d databases) remembered(ctx context.Context) (since time.Time, err error) {
	for _, name := range names {
		var oldest *time.Time
		if err := d[name].QueryRow(ctx, oldestSQL).Scan(&oldest); err != nil {
			return since, fmt.Errorf("read the outbox of %s: %w", name, err)
		}
		if oldest != nil && oldest.After(since) {
			since = *oldest
		}
	}
	return since, nil
}

// Orders that are new, still open, or asked for by id.
var ordersSQL = `
select o.id, o.user_id, coalesce(o.sku, '') as sku, coalesce(o.quantity, 0) as quantity, o.items as lines, o.status,
       ` + age("o.created_at") + ` as age, ` + age("o.updated_at") + ` as still,
       o.created_at + interval '1 minute' < coalesce((select created_at from public.outbox order by id limit 1), 'infinity') as expired,
       (select count(*) from public.outbox w where w.key = o.id::text and w.type = 'OrderCreated') as announced
  from public.orders o
 where o.id > $1 or o.id = any($2)`

func (d databases) orders(ctx context.Context, after int64, ids []int64) (map[int64]order, error) {
	list, err := collect[order](ctx, d["orders"], ordersSQL, after, ids)
	if err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	orders := make(map[int64]order, len(list))
	for _, o := range list {
		orders[o.ID] = o
	}
	return orders, nil
}

var reservationsSQL = `
select order_id, coalesce(sku, '') as sku, coalesce(quantity, 0) as quantity, items as lines, state, ` + age("updated_at") + ` as still
  from public.reservations
 where order_id > $1 or order_id = any($2)`

func (d databases) reservations(ctx context.Context, after int64, ids []int64) ([]reservation, error) {
	list, err := collect[reservation](ctx, d["inventory"], reservationsSQL, after, ids)
	if err != nil {
		return nil, fmt.Errorf("read the reservations: %w", err)
	}
	return list, nil
}

// The ids of sagas are text; those of order sagas are order ids.
var sagasSQL = `
select s.id::bigint as order_id, s.phase, s.state, s.reason,
       s.phase in ('COMPLETED', 'CANCELLED') as ended, ` + age("s.updated_at") + ` as still,
       (select count(*) from (
            select from public.saga_transitions t
             where t.saga_id = s.id and t.definition = s.definition and t.cause_id is not null
             group by t.cause_id having count(*) > 1) as again) as repeated
  from public.sagas s
 where s.definition = 'order' and s.id = any($1)
   and s.phase not in ('AWAITING_START', 'NOT_STARTED') -- only a cancellation came: there was no saga`

func (d databases) sagas(ctx context.Context, ids []int64) ([]saga, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = fmt.Sprint(id)
	}
	list, err := collect[saga](ctx, d["orchestrator"], sagasSQL, keys)
	if err != nil {
		return nil, fmt.Errorf("read the sagas: %w", err)
	}
	return list, nil
}

// Order sagas that have begun since a time, and know what was ordered.
const begunSQL = `
select id::bigint from public.sagas
 where definition = 'order' and started_at >= $1 and id ~ '^[1-9][0-9]{0,17}$' and data ? 'userId'
   and phase not in ('AWAITING_START', 'NOT_STARTED')`

const absentSQL = `select id from unnest($1::bigint[]) as asked (id) where not exists (select from public.orders o where o.id = asked.id)`

// withoutOrder returns the orders whose sagas have begun since a time, or that are asked for, and
// that are not there.
func (d databases) withoutOrder(ctx context.Context, since time.Time, ids []int64) ([]int64, error) {
	rows, err := d["orchestrator"].Query(ctx, begunSQL, since)
	if err != nil {
		return nil, fmt.Errorf("read the sagas: %w", err)
	}
	begun, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read the sagas: %w", err)
	}
	var absent []int64
	for some := range slices.Chunk(append(begun, ids...), questionBatch) {
		if rows, err = d["orders"].Query(ctx, absentSQL, some); err == nil {
			some, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		}
		if err != nil {
			return nil, fmt.Errorf("read the orders: %w", err)
		}
		absent = append(absent, some...)
	}
	return absent, nil
}

// position is what a relay has published of a database.
const publishedSQL = `
select o.id from public.outbox o cross join public.outbox_cursor c where (o.id > $1 or o.id = any($2)) and c.published @> o.id`

func (d databases) published(ctx context.Context, name string, after int64, open []int64) (map[int64]bool, error) {
	rows, err := d[name].Query(ctx, publishedSQL, after, open)
	if err != nil {
		return nil, fmt.Errorf("read the relay's cursor of %s: %w", name, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read the relay's cursor of %s: %w", name, err)
	}
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set, nil
}

var rowColumns = `
select o.id, o.event_id, o.topic, coalesce(o.key, '') as key, o.type, ` + age("o.created_at") + ` as age,
       md5(o.payload) as digest,
       coalesce(o.headers ->> 'ce_causationid', '') as cause, s.outbox_id is not null as stuck,
       coalesce(o.headers ->> 'waybill-dlq-reason', '') as reason,
       coalesce(o.headers ->> 'waybill-in-reply-to', '') as in_reply_to,
       coalesce(d.open, 0) as letter, d.topic is not null and d.open is null as settled
  from public.outbox o
  left join public.outbox_stuck s on s.outbox_id = o.id
  left join (select topic, "partition"::text as part, "offset"::text as at, max(id) filter (where state in ('dead', 'parked')) as open
               from public.dead_letters group by 1, 2, 3) d
    on d.topic = o.headers ->> 'waybill-dlq-topic' and d.part = o.headers ->> 'waybill-dlq-partition' and d.at = o.headers ->> 'waybill-dlq-offset'`

// The rows above an id, and those that are still waited for.
var rowsSQL = rowColumns + ` where o.id > $1 or o.id = any($2) order by o.id`

// What there is of the keys of new rows below that id: the audit may have forgotten it.
var olderSQL = rowColumns + ` where o.key = any($2) and o.id <= $1`

// A message that belongs to no row that is remembered: an older one, that was replayed, or none.
var rowsByKeySQL = rowColumns + `
  join unnest($1::text[], $2::uuid[]) as asked (key, event_id) on o.key = asked.key and o.event_id = asked.event_id`

func (d databases) rows(ctx context.Context, name string, after int64, open []int64, published map[int64]bool) ([]row, error) {
	return d.read(ctx, name, published, rowsSQL, after, open)
}

func (d databases) older(ctx context.Context, name string, upTo int64, keys []string) ([]row, error) {
	return d.read(ctx, name, nil, olderSQL, upTo, keys)
}

func (d databases) rowsByKey(ctx context.Context, name string, keys []string, ids []uuid.UUID) ([]row, error) {
	return d.read(ctx, name, nil, rowsByKeySQL, keys, ids)
}

func (d databases) read(ctx context.Context, name string, published map[int64]bool, sql string, args ...any) ([]row, error) {
	type stored struct {
		ID               int64
		EventID          uuid.UUID
		Topic, Key, Type string
		Age              time.Duration
		Digest, Cause    string
		Stuck            bool
		Reason           string
		InReplyTo        string
		Letter           int64
		Settled          bool
	}
	list, err := collect[stored](ctx, d[name], sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the outbox of %s: %w", name, err)
	}
	rows := make([]row, len(list))
	for i, s := range list {
		cause, _ := uuid.Parse(s.Cause) // what is no id causes nothing
		command, _ := uuid.Parse(s.InReplyTo)
		rows[i] = row{
			Database: name, ID: s.ID, EventID: s.EventID, Topic: s.Topic, Key: s.Key, Type: s.Type,
			Digest: s.Digest, Cause: cause, Age: s.Age, Published: published[s.ID], Stuck: s.Stuck, Reason: s.Reason, InReplyTo: command,
			Letter: s.Letter, Settled: s.Settled,
		}
	}
	return rows, nil
}

// What is parked is with its consumer; the dead letter in front of it is what there is to report.
const handledSQL = `
select event_id from public.inbox where consumer = $1 and event_id = any($2)
 union
select event_id from public.dead_letters where consumer = $1 and event_id = any($2) and state = 'parked'`

func (d databases) handled(ctx context.Context, c consumer, ids []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := d[c.database].Query(ctx, handledSQL, c.group, ids)
	if err == nil {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	}
	if err != nil {
		return nil, fmt.Errorf("read the inbox of %s: %w", c.group, err)
	}
	return ids, nil
}

// stockLevel is one sku.
type stockLevel struct {
	SKU                        string
	Received, OnHand, Reserved int64
	Moved                      int64 // what its movements add up to
}

// One statement sees one moment, so the numbers belong together.
const stockLevelsSQL = `
select sku, coalesce(s.received, 0) as received, coalesce(s.on_hand, 0) as on_hand, coalesce(r.reserved, 0) as reserved,
       coalesce(m.moved, 0) as moved
  from public.stock s
  full join (select sku, sum(quantity)::bigint as reserved
               from public.reservation_lines where state = 'RESERVED' group by sku) r using (sku)
  full join (select sku, sum(delta)::bigint as moved from public.stock_movements group by sku) m using (sku)`

func (d databases) stockLevels(ctx context.Context) ([]stockLevel, error) {
	list, err := collect[stockLevel](ctx, d["inventory"], stockLevelsSQL)
	if err != nil {
		return nil, fmt.Errorf("read the stock: %w", err)
	}
	return list, nil
}

// stuckRow is a row that the broker refuses.
type stuckRow struct {
	OutboxID int64
	Topic    string
	Key      string
	Parked   bool
	Code     string
	Error    string
	Attempts int
	Since    time.Duration
}

var stuckSQL = `
select outbox_id, topic, coalesce(key, '') as key, parked, error_code as code, error, attempts, ` + age("stuck_at") + ` as since
  from public.outbox_stuck where discarded_at is null
 order by outbox_id limit 1000`

func (d databases) stuck(ctx context.Context, name string) ([]stuckRow, error) {
	list, err := collect[stuckRow](ctx, d[name], stuckSQL)
	if err != nil {
		return nil, fmt.Errorf("read the stuck rows of %s: %w", name, err)
	}
	return list, nil
}

// Those in trouble have an index of their own.
var unhealthySagasSQL = `
select case when id ~ '^[0-9]{1,18}$' then id::bigint else 0 end as order_id, phase, state, reason,
       false as ended, ` + age("updated_at") + ` as still, 0::bigint as repeated
  from public.sagas where trouble is not null
 order by started_at limit 1000`

func (d databases) unhealthySagas(ctx context.Context) ([]saga, error) {
	list, err := collect[saga](ctx, d["orchestrator"], unhealthySagasSQL)
	if err != nil {
		return nil, fmt.Errorf("read the unhealthy sagas: %w", err)
	}
	return list, nil
}

// ping asks every database for a sign of life.
func (d databases) ping(ctx context.Context) error {
	var errs []error
	for name, pool := range d {
		if err := pool.Ping(ctx); err != nil {
			errs = append(errs, fmt.Errorf("the database %q does not answer", name))
		}
	}
	return errors.Join(errs...)
}
