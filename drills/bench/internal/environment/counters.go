package environment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/drills/bench/internal/procstat"
)

// Counters are what a system has done so far.
type Counters struct {
	At           time.Time
	Usage        Usage
	Switches     map[string]int64    // context switches by process
	Transactions map[string]int64    // by database
	Statements   map[Statement]int64 // calls; empty where Postgres does not count them
	WAL          int64               // bytes, of the whole server
}

// Statement is one of those that pg_stat_statements tells apart.
type Statement struct{ Database, Text string }

const (
	transactionsSQL = `select datname, xact_commit + xact_rollback from pg_stat_database where datname = any ($1)`
	countSQL        = `create extension if not exists pg_stat_statements`
	statementsSQL   = `
select d.datname, regexp_replace(s.query, '\s+', ' ', 'g'), sum(s.calls)::bigint
from pg_stat_statements s join pg_database d on d.oid = s.dbid
where d.datname = any ($1) and s.toplevel group by 1, 2`
)

// Count reads the counters. That itself takes a few statements in the database of Orders.
func (s *System) Count(ctx context.Context) (c Counters, err error) {
	c = Counters{Switches: map[string]int64{}, Transactions: map[string]int64{}, Statements: map[Statement]int64{}}
	var databases []string
	for _, pool := range s.outboxes {
		databases = append(databases, pool.Config().ConnConfig.Database)
	}
	if err := s.countStatements(ctx, databases, c.Statements); err != nil { // it may install the extension
		return c, err
	}
	rows, _ := s.orders.Query(ctx, transactionsSQL, databases) //nolint:rowserrcheck // ForEachRow has the error
	var name string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { c.Transactions[name] = n; return nil }); err != nil {
		return c, fmt.Errorf("count transactions: %w", err)
	}
	if err := s.orders.QueryRow(ctx, walSQL).Scan(&c.WAL); err != nil {
		return c, fmt.Errorf("look how much WAL there is: %w", err)
	}
	for _, p := range s.Processes() {
		c.Switches[p.Name] = procstat.Switches(p.Pid)
	}
	c.At, c.Usage = time.Now(), s.Usage()
	return c, nil
}

func (s *System) countStatements(ctx context.Context, databases []string, into map[Statement]int64) error {
	var refused *pgconn.PgError
	if _, err := s.orders.Exec(ctx, countSQL); errors.As(err, &refused) {
		return nil // this server does not have it
	} else if err != nil {
		return fmt.Errorf("have statements counted: %w", err)
	}
	rows, _ := s.orders.Query(ctx, statementsSQL, databases) //nolint:rowserrcheck // ForEachRow has the error
	var one Statement
	var calls int64
	if _, err := pgx.ForEachRow(rows, []any{&one.Database, &one.Text, &calls}, func() error { into[one] = calls; return nil }); err != nil {
		return fmt.Errorf("count statements: %w", err)
	}
	return nil
}
