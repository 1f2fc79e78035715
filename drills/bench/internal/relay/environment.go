package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/devstack/loopback"
	"waybill.example/devstack/postgres"
	"waybill.example/devstack/process"
	"waybill.example/devstack/tempdir"
	"waybill.example/drills/report"
	"waybill.example/migrations"
)

const topic = "bench.v1"

// bench is the machinery: a Postgres with fsync on, a broker, and databases made for each part.
type bench struct {
	Options
	section   *report.Part
	dir       string
	removeDir func() error
	postgres  *postgres.Server
	broker    *process.Process
	port      int
	made      int
}

func open(ctx context.Context, o Options) (*bench, error) {
	b := &bench{Options: o}
	var err error
	if b.dir, b.removeDir, err = tempdir.Make("bench"); err != nil {
		return nil, err
	}
	if b.postgres, err = postgres.Start(ctx, postgres.Config{Dir: filepath.Join(b.dir, "postgres"), MaxConnections: 1000, Progress: os.Stderr}); err != nil {
		return nil, errors.Join(err, b.removeDir())
	}
	if b.port, err = loopback.FreePort(); err == nil {
		err = b.startBroker(ctx)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.broker != nil {
		b.broker.Kill()
	}
	b.postgres.Kill()
	_ = b.postgres.Remove()
	_ = b.removeDir()
}

func (b *bench) startBroker(ctx context.Context) (err error) {
	b.broker, err = b.start("devstack", nil, "broker", fmt.Sprint("--port=", b.port), "--dir="+filepath.Join(b.dir, "broker"), "--topic="+topic)
	if err != nil {
		return err
	}
	return b.broker.AwaitReady(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.brokerAddr())
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

func (b *bench) brokerAddr() string { return loopback.Addr(b.port) }

// start runs one of our programs.
func (b *bench) start(program string, env []string, args ...string) (*process.Process, error) {
	return process.Start(process.Command{
		Name: program, Path: filepath.Join(b.Programs, program), Args: args, Env: append(os.Environ(), env...), Output: os.Stderr,
	})
}

// relay starts a relay for databases, with what is set besides.
func (b *bench) relay(databases []*database, env ...string) (*process.Process, error) {
	var list []string
	for i, db := range databases {
		list = append(list, fmt.Sprintf("bench%d=%s", i, db.url))
	}
	return b.start("outbox-relay", append([]string{
		"RELAY_DATABASES=" + strings.Join(list, ","), "KAFKA_BROKERS=" + b.brokerAddr(), "HTTP_ADDR=" + loopback.Addr(0), "LOG_LEVEL=warn",
	}, env...))
}

// database is one part's own.
type database struct {
	*pgxpool.Pool
	url string
}

func (b *bench) database(ctx context.Context, change ...func(*pgxpool.Config)) (*database, error) {
	b.made++
	name := fmt.Sprint("bench", b.made)
	admin, err := pgx.Connect(ctx, b.postgres.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "create database "+name); err != nil {
		return nil, err
	}
	url := b.postgres.URL(name)
	if _, err := migrations.Up(ctx, url, migrations.Outbox); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 40
	for _, f := range change {
		f(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &database{Pool: pool, url: url}, nil
}

// drop makes room for the next part, and its writes a thing of the past.
func (b *bench) drop(ctx context.Context, db *database) {
	db.Close()
	admin, err := pgx.Connect(ctx, b.postgres.URL("postgres"))
	if err != nil {
		return
	}
	defer admin.Close(ctx)
	name := db.Config().ConnConfig.Database
	_, _ = admin.Exec(ctx, "drop database "+name+" with (force)")
	_, _ = admin.Exec(ctx, "checkpoint")
}

// led waits until a relay leads the database.
func (db *database) led(ctx context.Context) error {
	for {
		var epoch int64
		if err := db.QueryRow(ctx, `select epoch from outbox_cursor`).Scan(&epoch); err != nil || epoch > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fill inserts rows of about 300 bytes, as fast as Postgres can, and lets it settle.
func (db *database) fill(ctx context.Context, rows int) error {
	const insert = `
insert into outbox (topic, key, type, payload)
select $1, (random() * 10000)::int::text, 'OrderCreated', convert_to(rpad('{"orderId":' || i || ',"note":"', 298, 'x') || '"}', 'utf8')
  from generate_series(1, $2::int) i`
	for done := 0; done < rows; done += 100_000 {
		if _, err := db.Exec(ctx, insert, topic, min(100_000, rows-done)); err != nil {
			return err
		}
	}
	for _, sql := range []string{`vacuum analyze outbox`, `checkpoint`} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// drained waits until everything up to an id is published, and returns how long the leader took for
// it, by the clock of the database.
func (db *database) drained(ctx context.Context, upTo int) (time.Duration, error) {
	const look = `select coalesce((select upper(r) from unnest(published) as r where lower(r) = 1), 0), extract(epoch from updated_at - led_since)::float8 from outbox_cursor`
	for {
		var end int64
		var seconds *float64
		if err := db.QueryRow(ctx, look).Scan(&end, &seconds); err != nil {
			return 0, err
		}
		if end > int64(upTo) && seconds != nil {
			return time.Duration(*seconds * float64(time.Second)), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
