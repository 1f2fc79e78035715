package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/contracts"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// Source is a database that knows a part of the story.
type Source struct {
	Name string
	Pool *pgxpool.Pool
}

// Explainer asks all sources.
type Explainer struct {
	Sagas   *inspect.Inspector
	Sources []Source // the other services' databases
	// Broker says whether the broker answers.
	Broker func(context.Context) error
	// RelayURL is where the relay answers /readyz; empty: it is not asked.
	RelayURL string
	// ServiceURLs are where the other services answer /readyz, by the names of their databases.
	ServiceURLs map[string]string
}

// each bounds how long one source may take, so that one that is away does not
// keep the answer of the others.
const each = 800 * time.Millisecond

// Explain finds out all it can about an order. The error is store.ErrNotFound where no source knows of
// it, or that the orchestrator's own database could not be read.
func (x *Explainer) Explain(ctx context.Context, id string, now time.Time) (Explanation, error) {
	story := Story{ID: id, Now: now.UTC(), Registry: x.Sagas.Registry()}
	state, lines, err := x.Sagas.Get(ctx, saga.Ref{ID: id})
	switch {
	case err == nil:
		story.Saga, story.Lines = &state, lines
	case !errors.Is(err, store.ErrNotFound):
		return Explanation{}, err
	}
	x.ask(ctx, &story)
	known := story.Saga != nil
	for _, f := range story.Sources {
		known = known || len(f.Sent)+len(f.Facts) > 0
	}
	if !known {
		return Explanation{}, unknown(story)
	}
	return Diagnose(story), nil
}

// Unknown says that nobody who could be asked knows of an order: not only that it has no saga.
type Unknown struct{ Asked, Dark []string }

func (u *Unknown) Error() string {
	text := "nothing is known of it: no saga, no order and no message in " + strings.Join(u.Asked, ", ")
	if len(u.Dark) > 0 {
		text += "; " + strings.Join(u.Dark, ", ") + " could not be asked"
	}
	return text
}

func (*Unknown) Unwrap() error { return store.ErrNotFound }

func unknown(s Story) error {
	u := &Unknown{}
	for _, f := range s.Sources {
		if f.Err != nil {
			u.Dark = append(u.Dark, f.Name)
		} else {
			u.Asked = append(u.Asked, f.Name)
		}
	}
	return u
}

// ask asks everybody at once, first for what was sent, and then who handled it.
func (x *Explainer) ask(ctx context.Context, story *Story) {
	sources := append([]Source{{Own, x.Sagas.DB()}}, x.Sources...)
	story.Sources = make([]Found, len(sources))
	var wg sync.WaitGroup
	for i, source := range sources {
		wg.Go(func() { story.Sources[i] = source.sent(ctx, story.ID) })
	}
	wg.Go(func() { story.Broker = x.broker(ctx) })
	wg.Go(func() { story.Relay = x.relay(ctx) })
	wg.Go(func() { story.Services = x.services(ctx) })
	wg.Wait()
	var ids []uuid.UUID
	events := map[uuid.UUID]uuid.UUID{} // by the id that the orchestrator knows the answer to a command by
	for _, f := range story.Sources {
		for _, m := range f.Sent {
			ids = append(ids, m.EventID)
			if m.Cause != nil {
				reply := contracts.ReplyID(m.EventID, *m.Cause)
				ids, events[reply] = append(ids, reply), m.EventID
			}
		}
	}
	for i, source := range sources {
		if story.Sources[i].Err == nil {
			wg.Go(func() { source.handled(ctx, ids, &story.Sources[i]) })
		}
	}
	wg.Wait()
	for _, f := range story.Sources {
		for i, h := range f.Handled {
			if event, ok := events[h.EventID]; ok {
				f.Handled[i].EventID = event
			}
		}
	}
}

const sentSQL = `
select s.id, s.event_id, s.topic, s.type, s.created_at, s.status,
       coalesce(s.error, '') as error, coalesce(s.attempts, 0) as attempts, s.stuck_at, s.next_attempt_at as next_attempt,
       coalesce(o.headers ->> $2, o.headers ->> 'waybill-in-reply-to') as cause, coalesce(o.headers ->> 'waybill-dlq-reason', '') as why
from public.outbox_status s join public.outbox o using (id)
where s.key = $1 order by s.id desc limit $3`

// sentLimit bounds the messages of one order that are looked at: the newest.
const sentLimit = 200

// Sessions of the service that wait for a lock, and who holds it. It sees of others' sessions what its role may.
const blockedSQL = `
select a.application_name as waiter, clock_timestamp() - a.query_start as waits, b.pid as holder,
       coalesce(b.application_name, '') as app, coalesce(b.usename, '?') as user, coalesce(b.state, 'in a state that this role may not see') as state,
       coalesce(clock_timestamp() - b.xact_start, interval '0') as transaction
  from pg_stat_activity a
 cross join lateral unnest(pg_blocking_pids(a.pid)) as holding (pid)
  join pg_stat_activity b on b.pid = holding.pid
 where a.datname = current_database() and a.wait_event_type = 'Lock' and a.query_start < clock_timestamp() - interval '500 ms'
 order by a.query_start limit 5`

const relaySQL = `select paused, leader from public.outbox_cursor`

// Counts no further than a person wants to know, and reads no row twice.
const aheadSQL = `
select count(*) from (
    select from public.outbox o, public.outbox_cursor c
    where o.id < $1 and o.id > coalesce(upper(range_merge(c.published)), 0) limit 100000) as ahead`

// headerCause is the header that names the message a message answers.
const headerCause = "ce_causationid"

func (s Source) sent(ctx context.Context, key string) (f Found) {
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	f.Name = s.Name
	err := pgx.BeginTxFunc(ctx, s.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sentSQL, key, headerCause, sentLimit)
		if err != nil {
			return err
		}
		if f.Sent, err = pgx.CollectRows(rows, scanSent); err != nil {
			return err
		}
		slices.Reverse(f.Sent)
		if err := tx.QueryRow(ctx, relaySQL).Scan(&f.Relay.Paused, &f.Relay.Leader); err != nil {
			return err
		}
		if i := slices.IndexFunc(f.Sent, func(m Sent) bool { return m.Status == "pending" }); i >= 0 {
			if err := tx.QueryRow(ctx, aheadSQL, f.Sent[i].ID).Scan(&f.Relay.Ahead); err != nil {
				return err
			}
		}
		if f.Facts, err = facts(ctx, tx, key); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, blockedSQL); err == nil {
			f.Blocked, err = pgx.CollectRows(rows, pgx.RowToStructByName[Blocked])
		}
		return err
	})
	if err != nil {
		f.Err = errors.New("the database does not answer, or not as expected")
	}
	return f
}

func scanSent(r pgx.CollectableRow) (Sent, error) {
	var m Sent
	var cause *string
	err := r.Scan(&m.ID, &m.EventID, &m.Topic, &m.Type, &m.CreatedAt, &m.Status, &m.Error, &m.Attempts, &m.StuckAt, &m.NextAttempt, &cause, &m.Why)
	if err == nil && cause != nil {
		if id, err := uuid.Parse(*cause); err == nil {
			m.Cause = &id
		}
	}
	return m, err
}

const handledSQL = `
select event_id, consumer, topic, "partition", "offset", handled_at as at
from public.inbox where event_id = any ($1) order by handled_at`

func (s Source) handled(ctx context.Context, ids []uuid.UUID, f *Found) {
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	rows, err := s.Pool.Query(ctx, handledSQL, ids)
	if err == nil {
		f.Handled, err = pgx.CollectRows(rows, pgx.RowToStructByName[Handled])
	}
	if err != nil {
		f.Err = errors.New("the inbox could not be read")
	}
}

// factQueries are what the tables of the services we know say about an order.
// A database without the table is one of another service.
var factQueries = []struct{ table, sql string }{
	{"public.orders", `
select created_at, 'accepted', format('order accepted over HTTP: %s × %s for %s', quantity, sku, user_id) from public.orders where id = $1
union all
select updated_at, 'became', 'order became ' || status || coalesce(': ' || reason, '') from public.orders where id = $1 and status <> 'PENDING'`},
	{"public.reservations", `
select updated_at, 'became', 'reservation became ' || state || coalesce(': ' || nullif(reason, ''), '') from public.reservations where order_id = $1`},
}

func facts(ctx context.Context, tx pgx.Tx, key string) ([]Fact, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return nil, nil //nolint:nilerr // not the key of an order
	}
	var all []Fact
	for _, q := range factQueries {
		var exists bool
		if err := tx.QueryRow(ctx, "select to_regclass($1) is not null", q.table).Scan(&exists); err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		rows, err := tx.Query(ctx, q.sql, id)
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Fact])
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (x *Explainer) broker(ctx context.Context) string {
	if x.Broker == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	if x.Broker(ctx) != nil {
		return "the broker does not answer the orchestrator"
	}
	return ""
}

// relay asks the relay what is wrong, by the names of its sources.
func (x *Explainer) relay(ctx context.Context) map[string]string {
	if x.RelayURL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	trouble := map[string]string{}
	everywhere := func(what string) map[string]string {
		trouble[Own] = what
		for _, s := range x.Sources {
			trouble[s.Name] = what
		}
		return trouble
	}
	ready, err := askReady(ctx, x.RelayURL)
	if err != nil {
		return everywhere("outbox-relay " + err.Error())
	}
	for check, what := range ready {
		name := check[strings.LastIndexByte(check, ' ')+1:]
		if what != "ok" {
			trouble[name] = what
		}
	}
	return trouble
}

// askReady returns what a process says of the things it relies on, whether it calls itself ready or not. The error
// says in words what is wrong with it.
func askReady(ctx context.Context, url string) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return nil, errors.New("is at an address that is none")
	}
	response, err := http.DefaultClient.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, errors.New("does not run: nothing listens at " + url)
	case err != nil:
		return nil, errors.New("does not answer at " + url + ": it is frozen, overloaded, or cut off")
	}
	defer response.Body.Close()
	var ready struct{ Checks map[string]string }
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&ready); err != nil {
		return nil, errors.New("does not answer as expected at " + url)
	}
	return ready.Checks, nil
}

// services asks the other services how they are.
func (x *Explainer) services(ctx context.Context) map[string]Service {
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	var (
		mu  sync.Mutex
		all = make(map[string]Service, len(x.ServiceURLs))
		wg  sync.WaitGroup
	)
	for name, url := range x.ServiceURLs {
		wg.Go(func() {
			s := Service{URL: strings.TrimSuffix(url, "/")}
			checks, err := askReady(ctx, url)
			if err != nil {
				s.Problem = err.Error()
			}
			for _, check := range slices.Sorted(maps.Keys(checks)) {
				if what := checks[check]; what != "ok" {
					s.Problem = strings.TrimPrefix(s.Problem+"; "+check+": "+what, "; ")
				}
			}
			if err == nil && s.Problem != "" {
				s.Problem = "says " + s.Problem
			}
			mu.Lock()
			defer mu.Unlock()
			all[name] = s
		})
	}
	wg.Wait()
	return all
}

// ParseURLs reads name=URL pairs of services.
func ParseURLs(pairs []string) (map[string]string, error) {
	urls := make(map[string]string, len(pairs))
	for i, pair := range pairs {
		name, url, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return nil, fmt.Errorf("pair %d must be name=URL, such as inventory=http://inventory:8081", i+1)
		}
		urls[name] = url
	}
	return urls, nil
}

// ParseSources opens a pool for each name=URL pair, which connects when it is used; close them at the end.
func ParseSources(ctx context.Context, pairs []string) ([]Source, error) {
	var sources []Source
	for i, pair := range pairs {
		name, url, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || name == Own {
			return nil, fmt.Errorf("pair %d must be name=URL of a database other than the orchestrator's", i+1)
		}
		config, err := pgxpool.ParseConfig(url)
		if err != nil {
			// The error may quote the URL, and the URL holds a password.
			return nil, fmt.Errorf("pair %d (%s): the URL cannot be parsed", i+1, name)
		}
		config.MaxConns, config.MinConns = 2, 0
		config.ConnConfig.ConnectTimeout = each
		config.ConnConfig.RuntimeParams["application_name"] = "orchestrator-explain"
		config.ConnConfig.RuntimeParams["search_path"] = "pg_catalog, pg_temp" // nothing planted in the schema runs
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return nil, fmt.Errorf("pair %d (%s): %w", i+1, name, err)
		}
		sources = append(sources, Source{name, pool})
	}
	return sources, nil
}
