package relay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"waybill.example/devstack/process"
)

const (
	idleTime = 10 * time.Second // for which a relay that has nothing to do is watched
	// USER_HZ, the unit of the times in /proc, is 100 on every architecture that Go runs on.
	tick = 10 * time.Millisecond
)

// measureDatabases has one relay lead 1, 10 and 100 databases, or as many as the flag says: until
// all are led, idle, and with a row now and then in one of them.
func measureDatabases(ctx context.Context, b *bench) error {
	for _, n := range b.Databases {
		if err := measureManyDatabases(ctx, b, n); err != nil {
			return err
		}
	}
	return nil
}

func measureManyDatabases(ctx context.Context, b *bench, n int) error {
	all := make([]*database, n)
	defer func() {
		for _, db := range all {
			if db != nil {
				b.drop(ctx, db)
			}
		}
	}()
	for i := range all {
		db, err := b.database(ctx, onePerDatabase)
		if err != nil {
			return err
		}
		all[i] = db
	}
	began := time.Now()
	relay, err := b.relay(all)
	if err != nil {
		return err
	}
	defer stopInTime(ctx, relay)
	var led errgroup.Group
	for _, db := range all {
		led.Go(func() error { return db.led(ctx) })
	}
	if err := led.Wait(); err != nil {
		return err
	}
	b.figure(fmt.Sprintf("databases_%d_led", n), time.Since(began).Seconds(), "s")
	pause(ctx, 5*time.Second) // what begins with the lead is over by then
	if err := b.idle(ctx, relay, n); err != nil {
		return err
	}
	lone, err := b.latencies(ctx, all[n/2], wakeRows, wakePause)
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("databases_%d_row_p50", n), milliseconds(lone, 50), "ms")
	b.figure(fmt.Sprintf("databases_%d_row_max", n), milliseconds(lone, 100), "ms")
	return nil
}

// idle measures a relay that has nothing to do, and what Postgres does for it.
func (b *bench) idle(ctx context.Context, relay *process.Process, n int) error {
	began, before := time.Now(), cpu(relay.Pid())
	backends := b.backendsCPU()
	switches := switched(relay.Pid())
	pause(ctx, idleTime)
	seconds := time.Since(began).Seconds()
	b.figure(fmt.Sprintf("databases_%d_idle_cpu", n), 100*(cpu(relay.Pid())-before).Seconds()/seconds, "% of a core")
	b.figure(fmt.Sprintf("databases_%d_idle_postgres_cpu", n), 100*(b.backendsCPU()-backends).Seconds()/seconds, "% of a core")
	b.figure(fmt.Sprintf("databases_%d_idle_switches", n), float64(switched(relay.Pid())-switches)/seconds, "/s")
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", relay.Pid()))
	b.figure(fmt.Sprintf("databases_%d_threads", n), float64(len(threads)), "threads")
	memory, err := resident(ctx, relay.Pid())
	b.figure(fmt.Sprintf("databases_%d_memory", n), memory, "MiB")
	return err
}

// cpu is what a process has used, as /proc has it; zero where there is none.
func cpu(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

// backendsCPU is what the processes of Postgres that are alive have used together.
func (b *bench) backendsCPU() (sum time.Duration) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", b.postgres.Process().Pid(), b.postgres.Process().Pid()))
	for field := range strings.FieldsSeq(string(children)) {
		pid, _ := strconv.Atoi(field)
		sum += cpu(pid)
	}
	return sum
}

// switched is how often the threads of a process have been taken off a processor.
func switched(pid int) (sum int64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range threads {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(name, "ctxt_switches") {
				n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				sum += n
			}
		}
	}
	return sum
}

// onePerDatabase keeps a bench of hundreds of databases from using up the server's connections.
func onePerDatabase(c *pgxpool.Config) { c.MaxConns = 1 }
