package relay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/kafkatest"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/relay"
)

// The primary dies with rows that its standby never had, some of them sent. The standby is promoted
// and gives out their ids again. The relay leads there by itself, sends every row that is there,
// and does not go back to the old primary when that takes writes again and comes first in the URL.
func TestRelay_LeadsOnAPromotedStandbyAndNotOnTheOldPrimary(t *testing.T) {
	t.Parallel()
	servers := pgtest.NewReplicated(t)
	s := &stage{db: servers.New(t, migrations.Outbox), broker: kafkatest.Start(t, topic)}
	s.relay(t, relay.Options{})
	s.insertMany(t, 1, 50)
	s.drained(t)
	require.NoError(t, servers.Standby.CaughtUp(t.Context()))
	servers.StopStreaming(t)
	for range 100 { // past what the sequence has logged ahead
		s.insert(t, "lost", "1")
	}
	s.distinct(t, 150)
	servers.FailOver(t)

	await(t, func() bool {
		_, err := s.db.Pool.Exec(t.Context(), insertSQL, topic, "after", []byte("1"))
		return err == nil
	}, "the new primary to take rows")
	s.distinct(t, 151)
	s.drained(t)

	require.NoError(t, servers.Start(t.Context()))
	epoch := one[int64](t, s, `select epoch from outbox_cursor`)
	s.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox-relay'`)
	await(t, func() bool { return one[int64](t, s, `select epoch from outbox_cursor`) > epoch }, "the relay to lead again")
	s.insert(t, "again", "1")
	s.distinct(t, 152)
	s.drained(t)
}
