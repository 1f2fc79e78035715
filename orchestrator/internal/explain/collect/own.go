package collect

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/contracts"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/inbox"
)

const (
	// Payloads and headers are looked up row by row, behind a limit. Joined, the planner walked the
	// whole outbox: the sessions of services may not read tables as a whole, which the view does
	// with its one row of the cursor, and beside the price of that all other plans cost the same.
	ownSentSQL = `
select s.id, s.event_id, s.topic, s.type, s.created_at, s.status,
       coalesce(s.error, ''), coalesce(s.attempts, 0), s.stuck_at, s.next_attempt_at, o.headers,
       case when $3 then substring(o.payload from 1 for 65536) end, octet_length(o.payload)
  from (select * from public.outbox_status where key = $1 order by id desc limit $2) as s
 cross join lateral (select headers, payload from public.outbox where id = s.id limit 1) as o
 order by s.id desc`
	ownRelaySQL = `select paused, leader from public.outbox_cursor`
	// Counts no further than a person wants to know, and reads no row twice.
	ownAheadSQL = `
select count(*)
  from (select from public.outbox o, public.outbox_cursor c
         where o.id < $1 and o.id > coalesce(upper(range_merge(c.published)), 0) limit 100000) as ahead`
	// Sessions that wait for a lock, and who holds it. It sees of others' sessions what its role
	// may.
	ownBlockedSQL = `
select a.application_name as waiter, clock_timestamp() - a.query_start as waits, b.pid as holder,
       coalesce(b.application_name, '') as app, coalesce(b.usename, '?') as user, coalesce(b.state, 'in a state that this role may not see') as state,
       coalesce(clock_timestamp() - b.xact_start, interval '0') as transaction
  from pg_stat_activity a
 cross join lateral unnest(pg_blocking_pids(a.pid)) as holding (pid)
  join pg_stat_activity b on b.pid = holding.pid
 where a.datname = current_database() and a.wait_event_type = 'Lock' and a.query_start < clock_timestamp() - interval '500 ms'
 order by a.query_start limit 5`
	ownDeliveriesSQL = `
select event_id, consumer, topic, "partition", "offset", handled_at as at
  from public.inbox
 where event_id = any ($1)
 order by handled_at`
)

// ownSent reads what the orchestrator itself has sent for an order.
func ownSent(ctx context.Context, pool *pgxpool.Pool, key string, payloads bool) explain.Database {
	d := explain.Database{Name: explain.OwnDatabase}
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, ownSentSQL, key, explain.SentLimit, payloads)
		if err != nil {
			return err
		}
		if d.Sent, err = pgx.CollectRows(rows, scanMessage); err != nil {
			return err
		}
		slices.Reverse(d.Sent)
		if err := tx.QueryRow(ctx, ownRelaySQL).Scan(&d.Outbox.Paused, &d.Outbox.Leader); err != nil {
			return err
		}
		if i := slices.IndexFunc(d.Sent, func(m explain.Message) bool { return m.Status == "pending" }); i >= 0 {
			if err := tx.QueryRow(ctx, ownAheadSQL, d.Sent[i].ID).Scan(&d.Outbox.Ahead); err != nil {
				return err
			}
		}
		if rows, err = tx.Query(ctx, ownBlockedSQL); err == nil {
			d.Blocked, err = pgx.CollectRows(rows, pgx.RowToStructByName[explain.Blocked])
		}
		return err
	})
	if err != nil {
		d.Error = "the database does not answer, or not as expected"
	}
	return d
}

func scanMessage(r pgx.CollectableRow) (m explain.Message, err error) {
	var headers map[string]string
	err = r.Scan(&m.ID, &m.EventID, &m.Topic, &m.Type, &m.CreatedAt, &m.Status, &m.Error, &m.Attempts, &m.StuckAt, &m.NextAttempt, &headers, &m.Payload, &m.PayloadBytes)
	readHeaders(&m, headers)
	return m, err
}

// readHeaders keeps a message's headers, and takes from them what explain needs: which command it
// answers, and why it was set aside.
func readHeaders(m *explain.Message, headers map[string]string) {
	m.Headers, m.Reason = headers, headers[inbox.HeaderDeadLetterReason]
	for _, name := range []string{contracts.HeaderCausationID, contracts.HeaderInReplyTo} {
		if id, err := uuid.Parse(headers[name]); err == nil {
			m.Cause = &id
			return
		}
	}
}

func ownDeliveries(ctx context.Context, pool *pgxpool.Pool, ids []uuid.UUID) ([]explain.Delivery, error) {
	rows, err := pool.Query(ctx, ownDeliveriesSQL, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[explain.Delivery])
}
