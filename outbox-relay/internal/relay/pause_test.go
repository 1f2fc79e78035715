package relay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
)

// A paused source publishes nothing: neither stuck rows whose time has come, nor what is parked
// behind them, nor rows that came late, nor new ones.
func TestPause_HoldsBackEverything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{Sweep: 1, Fallback: 10 * time.Millisecond})
	s.exec(t, `insert into outbox (topic, key, type, payload)
		select 'missing.v1', 'k' || i % 10, 'T', convert_to(i::text, 'utf8') from generate_series(1, 100) i`)
	await(t, func() bool { return s.stuck(t) == 100 }, "all rows to be stuck or parked")
	_, err := s.ops(t).Pause(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return r.Status().State == relay.Paused }, "the relay to pause")
	s.broker.CreateTopics(t, 3, "missing.v1")
	s.exec(t, `update outbox_stuck set next_attempt_at = now() where not parked`)
	s.insert(t, "new", "1")
	outlast(t)
	require.Empty(t, s.broker.All(t, "missing.v1"))
	require.Empty(t, s.broker.All(t, topic))

	_, err = s.ops(t).Resume(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	s.distinct(t, 1)
}

// A relay that sleeps looks seldom whether an operator wants something. It need not: it is
// notified.
func TestPause_IsFollowedAtOnceHoweverSeldomTheRelayLooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relay(t, relay.Options{Fallback: time.Hour})
	s.insert(t, "k", "1")
	s.distinct(t, 1)
	_, err := s.ops(t).Pause(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return r.Status().State == relay.Paused }, "the relay to pause")
	_, err = s.ops(t).Resume(t.Context(), operator)
	require.NoError(t, err)
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to go on")
}
