package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// The test binary is the relay too: started with this variable it runs main, as a process that can
// be killed.
const asRelay = "OUTBOX_RELAY_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asRelay) != "" {
		main()
		return
	}
	pgtest.Main(m)
}

const (
	topic    = "orders.v1"
	deadline = 60 * time.Second
)

// pair is a database, a broker, and relay processes that compete for the lead.
type pair struct {
	db     *pgtest.Database
	broker *kafkatest.Broker
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return &pair{db: pgtest.New(t, migrations.Outbox), broker: kafkatest.Start(t, topic)}
}

// start runs a relay process against the database at dsn, and kills it when the test ends.
func (p *pair) start(t *testing.T, dsn string, env ...string) *os.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asRelay+"=1", "RELAY_DATABASES=orders="+dsn, "KAFKA_BROKERS="+p.broker.Addr(), "HTTP_ADDR=127.0.0.1:0")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process
}

// leader returns the process id of the relay that leads, or 0.
func (p *pair) leader(t *testing.T) int {
	t.Helper()
	var name string
	require.NoError(t, p.db.Pool.QueryRow(t.Context(), `select leader from outbox_cursor`).Scan(&name))
	pid, _ := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	return pid
}

func (p *pair) awaitLeader(t *testing.T, process *os.Process) {
	t.Helper()
	await(t, func() bool { return p.leader(t) == process.Pid }, "process %d to lead", process.Pid)
}

// write inserts rows 1, 2, 3… of several keys, each in a transaction of its own, until the returned
// function is called, which says how far they came.
func (p *pair) write(t *testing.T) (stop func() (keys, rows int)) {
	t.Helper()
	const keys = 5
	ctx, cancel := context.WithCancel(t.Context())
	counts := make([]int, keys)
	var writers sync.WaitGroup
	for k := range keys {
		writers.Go(func() {
			for ctx.Err() == nil {
				_, err := p.db.Pool.Exec(context.WithoutCancel(ctx), `insert into outbox (topic, key, type, payload) values ($1, $2, 'Counted', $3)`,
					topic, fmt.Sprint("k", k), fmt.Append(nil, counts[k]+1))
				if err != nil {
					t.Error(err)
					return
				}
				counts[k]++
			}
		})
	}
	return func() (int, int) {
		cancel()
		writers.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return keys, total
	}
}

// progress waits until the relays have published rows that do not exist yet.
func (p *pair) progress(t *testing.T) {
	t.Helper()
	position := func(sql string) (id int64) {
		require.NoError(t, p.db.Pool.QueryRow(t.Context(), sql).Scan(&id))
		return id
	}
	now := position(`select coalesce(max(id), 0) from outbox`)
	await(t, func() bool { return position(`select coalesce(upper(published), 0) from outbox_cursor`) > now+50 }, "rows beyond id %d to be published", now)
}

// requireAll waits until every row is on the topic, and requires each key to be complete and in
// order once records with an event id that was there before are dropped.
func (p *pair) requireAll(t *testing.T, keys, rows int) {
	t.Helper()
	var values map[string][]string
	await(t, func() bool {
		records := p.broker.All(t, topic)
		values = map[string][]string{}
		seen := map[string]bool{}
		slices.SortStableFunc(records, func(a, b kafkatest.Record) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		for _, r := range records {
			if id := r.Headers["ce_id"]; !seen[id] {
				seen[id] = true
				values[string(r.Key)] = append(values[string(r.Key)], string(r.Value))
			}
		}
		return len(seen) >= rows
	}, "%d different messages on the topic", rows)
	require.Len(t, values, keys)
	for key, got := range values {
		for i, value := range got {
			require.Equal(t, strconv.Itoa(i+1), value, "order of key %s", key)
		}
	}
}

// A leader that is killed loses nothing: the standby leads within a second, and sends what was not
// known to be published.
func TestAStandbyTakesOverFromALeaderThatIsKilled(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	leader := p.start(t, p.db.URL)
	p.awaitLeader(t, leader)
	stop := p.write(t)
	for range 3 {
		standby := p.start(t, p.db.URL)
		p.progress(t)
		require.NoError(t, leader.Kill())
		killed := time.Now()
		p.awaitLeader(t, standby)
		t.Log("took over after ", time.Since(killed))
		p.progress(t)
		leader = standby
	}
	keys, rows := stop()
	p.requireAll(t, keys, rows)
}

// A frozen leader keeps its connection, so its session has to be ended for it. When it wakes up it
// still has rows in its producer, and perhaps an answer to write down: neither may do harm.
func TestAFrozenLeaderIsReplacedAndDoesNoHarmWhenItWakesUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	leader := p.start(t, p.db.URL)
	p.awaitLeader(t, leader)
	stop := p.write(t)
	for range 2 {
		standby := p.start(t, p.db.URL)
		p.progress(t)
		require.NoError(t, leader.Signal(syscall.SIGSTOP))
		p.awaitLeader(t, standby)
		p.progress(t)
		require.NoError(t, leader.Signal(syscall.SIGCONT))
		p.progress(t)
		require.Equal(t, standby.Pid, p.leader(t), "the old leader stands by now")
		require.NoError(t, leader.Kill())
		leader = standby
	}
	keys, rows := stop()
	p.requireAll(t, keys, rows)
}

// A network that swallows packets looks like a frozen leader to the database, and to the leader
// like a database that does not answer.
func TestALeaderWhoseDatabaseConnectionIsCutIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	through, cut := proxy(t, p.db.URL)
	leader := p.start(t, through)
	p.awaitLeader(t, leader)
	stop := p.write(t)
	standby := p.start(t, p.db.URL)
	p.progress(t)
	cut()
	p.awaitLeader(t, standby)
	p.progress(t)
	keys, rows := stop()
	p.requireAll(t, keys, rows)
}

// A leader that is asked to stop hands over without a single duplicate.
func TestALeaderThatStopsHandsOverWithoutDuplicates(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	leader := p.start(t, p.db.URL)
	p.awaitLeader(t, leader)
	stop := p.write(t)
	for range 2 {
		standby := p.start(t, p.db.URL)
		p.progress(t)
		require.NoError(t, leader.Signal(syscall.SIGTERM))
		p.awaitLeader(t, standby)
		p.progress(t)
		leader = standby
	}
	keys, rows := stop()
	p.requireAll(t, keys, rows)
	require.Len(t, p.broker.All(t, topic), rows)
}

// proxy returns dsn with the address of a proxy to its server, and a function that makes the proxy
// swallow everything from then on.
func proxy(t *testing.T, dsn string) (through string, cut func()) {
	t.Helper()
	target, err := url.Parse(dsn)
	require.NoError(t, err)
	server := target.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, swallow := context.WithCancel(t.Context())
	var pipes sync.WaitGroup
	ended := make(chan struct{})
	pipe := func(from, to net.Conn) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if ctx.Err() != nil {
				<-ended
				return
			}
			if err != nil {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	pipes.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			context.AfterFunc(t.Context(), func() { client.Close(); upstream.Close() })
			pipes.Go(func() { pipe(client, upstream) })
			pipes.Go(func() { pipe(upstream, client) })
		}
	})
	t.Cleanup(func() {
		swallow()
		close(ended)
		listener.Close()
		pipes.Wait()
	})
	target.Host = listener.Addr().String()
	return target.String(), swallow
}

func await(t *testing.T, condition func() bool, what string, args ...any) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !condition() {
		require.True(t, time.Now().Before(end), "waited in vain for %s", fmt.Sprintf(what, args...))
		<-time.After(5 * time.Millisecond)
	}
}
