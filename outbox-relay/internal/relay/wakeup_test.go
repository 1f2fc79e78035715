package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

// The lock that a sleeping relay holds, and writers share while it is awake.
const sleepsSQL = `
select exists (select from pg_locks
                where locktype = 'advisory' and mode = 'ExclusiveLock' and classid::bigint << 32 | objid::bigint = 122550254464889
                  and database = (select oid from pg_database where datname = current_database()))`

// Rows that come one by one are notified of; the relay does not wake up for each, to fall asleep
// again. The cursor is not moved for each either, but the last of them does not wait for another to
// move it.
func TestARelayThatSleepsGoesOnSleepingThroughSingleRows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{Fallback: time.Hour})
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
	for i := 1; i <= 20; i++ {
		<-time.After(20 * time.Millisecond) // closer together they may be worth staying awake for
		s.insert(t, "k1", fmt.Sprint(i))
		s.broker.Consume(t, topic, i)
		require.True(t, one[bool](t, s, sleepsSQL), "the relay was woken up for a single row")
	}
	s.drained(t)
}

// A writer that has found the relay awake does not notify. The relay must not fall asleep before
// that writer's row is there, or it would find it half a second later.
func TestARelayStaysAwakeForARowThatIsNotCommitted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tx, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), insertSQL, topic, "k1", []byte("1"))
	require.NoError(t, err)
	s.relay(t, relay.Options{Fallback: time.Hour})
	s.insert(t, "k2", "1")
	s.broker.Consume(t, topic, 1)
	outlast(t)
	require.False(t, one[bool](t, s, sleepsSQL))
	require.NoError(t, tx.Commit(t.Context()))
	s.broker.Consume(t, topic, 2)
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
}

func TestARelayWakesUpForManyRowsAndGoesToSleepAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.relay(t, relay.Options{Quiet: time.Second, Fallback: time.Hour})
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
	s.insertMany(t, 5, 100)
	await(t, func() bool { return !one[bool](t, s, sleepsSQL) }, "the relay to poll")
	s.broker.Consume(t, topic, 100)
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep again")
}

// A thousand notifications that came while the session was busy are worth one look, not a thousand.
func TestSession_ManyNotificationsAreOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	session, err := source.Connect(t.Context(), "orders", s.db.URL)
	require.NoError(t, err)
	defer session.Close(t.Context())
	_, err = session.Begin(t.Context(), t.Name())
	require.NoError(t, err)
	for i := range 20 {
		s.exec(t, `select pg_notify('outbox', $1)`, fmt.Sprint(i))
	}
	_, _, err = session.CheckTerm(t.Context()) // its answer brings them along
	require.NoError(t, err)
	notified, err := session.WaitForRow(t.Context(), patience)
	require.NoError(t, err)
	require.True(t, notified)
	notified, err = session.WaitForRow(t.Context(), 50*time.Millisecond)
	require.NoError(t, err)
	require.False(t, notified)
}
