package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/devstack/stack"
	"waybill.example/migrations"
)

const limitDatabase = "bench_limit"

// One statement for both rows: nobody who writes them one order at a time can be faster.
const orderTxSQL = `
with placed as (
    insert into orders (user_id, sku, quantity, note) values ($1, $2, $3, $4) returning id, created_at)
insert into outbox (topic, key, type, payload)
select 'orders.v1', id::text, 'OrderCreated',
       convert_to(json_build_object('orderId', id, 'userId', $1::text, 'sku', $2::text, 'quantity', $3::int, 'time', created_at)::text, 'UTF8')
from placed`

// limit measures the order and its outbox row alone, one order a transaction, from a plain pgx
// loop: no HTTP, no broker, nobody who reads what was written.
func (b *bench) limit(ctx context.Context) error {
	const connections = 32
	length := b.Sustain / 6
	pool, drop, err := b.scratch(ctx, limitDatabase, connections)
	if err != nil {
		return err
	}
	defer drop()
	if _, err := migrations.Up(ctx, pool.Config().ConnString(), migrations.Outbox, migrations.Orders); err != nil {
		return err
	}
	var placed atomic.Int64
	var failure atomic.Pointer[error]
	var writers sync.WaitGroup
	placing, stop := context.WithTimeout(ctx, length)
	defer stop()
	began := time.Now()
	for i := range connections {
		writers.Go(func() {
			for n := 0; placing.Err() == nil; n++ {
				_, err := pool.Exec(placing, orderTxSQL, fmt.Sprintf("u%d", i), skus[n%len(skus)], 1, "bench")
				if err == nil {
					placed.Add(1)
				} else if placing.Err() == nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	writers.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	b.orderTxLimit = float64(placed.Load()) / time.Since(began).Seconds()
	section := b.report.Part("The limit", "The order and its outbox row alone: one statement, one transaction per order, 32 connections, nobody who reads them.")
	section.Add("order_tx_limit", b.orderTxLimit, "orders/s", nil)
	return nil
}

// scratch makes a database beside the stack's own.
func (b *bench) scratch(ctx context.Context, name string, connections int32) (pool *pgxpool.Pool, drop func(), err error) {
	server, err := pgx.Connect(ctx, b.stack.State().Databases[stack.Orders])
	if err != nil {
		return nil, nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	defer server.Close(ctx)
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := server.Exec(ctx, "drop database if exists "+quoted); err != nil {
		return nil, nil, fmt.Errorf("drop database %s: %w", name, err)
	}
	if _, err := server.Exec(ctx, "create database "+quoted); err != nil {
		return nil, nil, fmt.Errorf("create database %s: %w", name, err)
	}
	config, err := pgxpool.ParseConfig(databaseURL(b.stack.State().Databases[stack.Orders], name))
	if err != nil {
		return nil, nil, fmt.Errorf("open database %s", name)
	}
	config.MaxConns = connections
	if pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, nil, fmt.Errorf("open database %s: %w", name, err)
	}
	drop = func() {
		pool.Close()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // also after an interruption
		defer cancel()
		if server, err := pgx.Connect(last, b.stack.State().Databases[stack.Orders]); err == nil {
			_, _ = server.Exec(last, "drop database if exists "+quoted+" with (force)") // the stack goes away with it anyhow
			server.Close(last)
		}
	}
	return pool, drop, nil
}
