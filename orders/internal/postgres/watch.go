package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill.example/orders/order"
)

const getAllSQL = `select ` + columns + ` from orders where id = any($1)`

// GetAll returns those of the orders that exist, in any order.
func (s *Store) GetAll(ctx context.Context, ids []int64) ([]order.Order, error) {
	rows, err := s.pool.Query(ctx, getAllSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	orders := make([]order.Order, len(found))
	for i, r := range found {
		orders[i] = r.order()
	}
	return orders, nil
}

// NOTIFY serialises the commits of those that notify, so a transaction notifies only while a
// process listens (decision 095). Who listens shares an advisory lock ("orders" in ASCII) for as
// long as its session lasts; who changes orders tries to hold it alone until its commit, and
// notifies where it cannot:
//
//   - A listener that gets the lock knows that every change which was not notified of is committed,
//     and reads.
//   - While a listener waits for the lock, the next transaction cannot have it and notifies: no
//     stream of changes keeps the listener out.
//   - Two transactions that change orders at once are in each other's way, and one notifies nobody.
//     That costs it some microseconds.
//   - The lock of a process that has died is gone with its session.
const (
	listenLock = `122537101324915`
	listenSQL  = `listen orders; select pg_advisory_lock_shared(` + listenLock + `)`

	// NotifySQL is for the list of a select whose $1 has the ids of orders that its transaction has
	// changed. A payload has less than 8,000 bytes; without ids, listeners look at all that they
	// wait for.
	NotifySQL = `
    (select pg_notify('orders', case when cardinality($1) <= 390 then array_to_string($1, ',') else '' end)
      where not pg_try_advisory_xact_lock(` + listenLock + `))`
)

// Listen implements watch.Orders. It has a session of its own: one that waits is of no use to
// others.
func (s *Store) Listen(ctx context.Context, changed func(ids ...int64)) error {
	pool := s.pool.Config()
	pool.ConnConfig.OnNotification = nil
	if pool.BeforeConnect != nil { // it says how to log in by now
		if err := pool.BeforeConnect(ctx, pool.ConnConfig); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// Detached: the session ends in order also when ctx has ended.
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, listenSQL); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	changed() // whatever was committed before
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		changed(notified(n.Payload)...)
	}
}

// notified reads the ids of a notification; of one that is not ours, none.
func notified(payload string) []int64 {
	var ids []int64
	for text := range strings.SplitSeq(payload, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}
