package relay_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// A broker that is down costs nothing but time: no row becomes stuck, and the relay says what it
// waits for.
func TestRowsWaitForABrokerThatIsDown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{BatchRows: 50, InFlightRows: 200})
	s.insertMany(t, 3, 10)
	s.values(t, 30)
	s.broker.Stop()
	await(t, func() bool { return r.Status().BrokerErr != nil }, "the relay to say that the broker is down")
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select $1, 'k' || k, 'Counted', convert_to(i::text, 'utf8') from generate_series(11, 300) i, generate_series(1, 3) k order by i, k`, topic)
	s.broker.Start(t)
	requireCounted(t, s.values(t, 900), 3, 300)
	s.drained(t)
	await(t, func() bool { return r.Status().BrokerErr == nil }, "the relay to say that the broker is back")
	require.Zero(t, one[int64](t, s, `select count(*) from outbox_stuck`))
}

// When a broker is back, the rows in flight are as old as its outage was long. That is no reason to
// park their topic as one that is in the way: the whole backlog would go through the stuck rows.
func TestAnOutageInABacklogParksNoTopic(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{BatchRows: 50, InFlightRows: 200})
	s.insertMany(t, 3, 10)
	s.drained(t)
	refuse := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1}
	s.broker.Fault(refuse)
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select $1, 'k' || k, 'Counted', convert_to(i::text, 'utf8') from generate_series(11, 300) i, generate_series(1, 3) k order by i, k`, topic)
	await(t, func() bool { return r.gauge(t, "in_flight_rows") == 200 }, "as many rows in flight as there may be")
	s.broker.Stop()
	await(t, func() bool { return r.gauge(t, "oldest_in_flight_seconds") > 10.5 }, "an outage that is longer than a topic may be in the way")
	s.broker.Start(t)
	fault := s.broker.Fault(refuse) // as one that answers, and has no leaders yet
	await(t, func() bool { return r.Status().BrokerErr == nil }, "the relay to say that the broker is back")
	outlast(t)
	fault.Remove()
	requireCounted(t, s.values(t, 900), 3, 300)
	s.drained(t)
	require.Zero(t, r.gauge(t, "set_aside_total"))
}

func TestTheRelayStartsWithoutABroker(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.broker.Stop()
	s.insertMany(t, 3, 10)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.Status().BrokerErr != nil }, "the relay to say that the broker is down")
	s.broker.Start(t)
	requireCounted(t, s.values(t, 30), 3, 10)
	s.drained(t)
}

// A broker that comes and goes while many rows are on their way: connections break in the middle of
// requests, so the relay cannot know what arrived. Nothing may be lost, and each key stays in order
// once duplicates are dropped.
func TestABrokerThatComesAndGoesBreaksNoOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{BatchRows: 100, InFlightRows: 1000})
	var writers sync.WaitGroup
	const keys, n = 6, 500
	for k := 1; k <= keys; k++ {
		writers.Go(func() {
			for i := 1; i <= n; i++ {
				_, err := s.db.Pool.Exec(t.Context(), insertSQL, topic, fmt.Sprint("k", k), fmt.Append(nil, i))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		settledSoFar := one[int64](t, s, `select coalesce(upper(published), 0) from outbox_cursor`)
		await(t, func() bool {
			return one[int64](t, s, `select coalesce(upper(published), 0) from outbox_cursor`) >= min(settledSoFar+300, keys*n)
		}, "some progress")
		s.broker.Stop()
		s.broker.Start(t)
	}
	writers.Wait()
	requireCounted(t, s.values(t, keys*n), keys, n)
	s.drained(t)
}

func TestADatabaseThatGoesAwayAndReturnsIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	s := newStage(t)
	s.db = server.New(t, migrations.Outbox)
	r := s.relay(t, relay.Options{})
	s.insertMany(t, 3, 10)
	s.drained(t)
	require.NoError(t, server.Stop())
	await(t, func() bool { return r.Status().Err != nil }, "the relay to say that the database is down")
	require.NoError(t, server.Start(t.Context()))
	s.db.Pool.Reset() // its connections are gone
	s.insert(t, "k1", "11")
	require.Len(t, s.values(t, 31)["k1"], 11)
	s.drained(t)
}

// A schema that is older than the relay is an error before it leads, rather than in maintenance.
func TestAnOldSchemaSaysWhichMigrationToRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `alter table outbox_cursor drop column retention_clock`)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.Status().Err != nil }, "an error")
	require.ErrorIs(t, r.Status().Err, source.ErrNoSchema)
	require.Zero(t, one[int64](t, s, `select epoch from outbox_cursor`))
}

func TestAMissingTableSaysWhichMigrationToRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.db = pgtest.New(t)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.Status().Err != nil }, "an error")
	require.ErrorIs(t, r.Status().Err, source.ErrNoSchema)
	require.ErrorContains(t, r.Status().Err, "migrate up --database URL outbox")
	_, err := migrations.Up(t.Context(), s.db.URL, migrations.Outbox)
	require.NoError(t, err)
	s.insertMany(t, 1, 1)
	s.drained(t)
}

// The broker has acknowledged rows, and the relay dies before its cursor says so. The next one
// sends them again: duplicates, which consumers drop by event id, but nothing lost and no key out
// of order.
func TestACrashBetweenAcknowledgementAndCursorMakesOnlyDuplicates(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.exec(t, `create sequence public.crashes`)
	s.exec(t, `create function crash() returns trigger language plpgsql as $$ begin
		if new.published <> old.published and nextval('public.crashes') <= 4 then
			perform pg_terminate_backend(pg_backend_pid());
		end if;
		return new; end $$`)
	s.exec(t, `create trigger crash before update on outbox_cursor for each row execute function crash()`)
	s.insertMany(t, 5, 100)
	s.relay(t, relay.Options{BatchRows: 100})
	s.drained(t)
	records := s.distinct(t, 500)
	require.Greater(t, len(records), 500, "the crashes came after acknowledgements")
	requireCounted(t, firsts(records), 5, 100)
}

// A crash in the middle of a backlog publishes again what was acknowledged since the cursor was
// last moved. That is little also where one move took long: here one is held up for a tenth of a
// second, and later the session dies.
func TestACrashDuringADrainRepeatsFewRows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const rows, window = 30_000, 2000
	s.exec(t, `create sequence public.moves`)
	s.exec(t, `create function hold_up() returns trigger language plpgsql as $$ begin
		if upper(new.published) > 2000 and nextval('public.moves') = 1 then
			perform pg_sleep(0.1);
		elsif upper(new.published) > 15000 and nextval('public.moves') < 1000000 then
			perform setval('public.moves', 1000000);
			perform pg_terminate_backend(pg_backend_pid());
		end if;
		return new; end $$`)
	s.exec(t, `create trigger hold_up before update on outbox_cursor for each row execute function hold_up()`)
	s.insertMany(t, 20, rows/20)
	s.relay(t, relay.Options{BatchRows: 500, InFlightRows: window})
	s.drained(t)
	records := s.distinct(t, rows)
	require.Greater(t, len(records), rows, "the crash came after acknowledgements")
	require.Less(t, len(records), rows+3*window)
	requireCounted(t, firsts(records), 20, rows/20)
}
