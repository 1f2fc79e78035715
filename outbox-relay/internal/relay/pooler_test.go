package relay_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/relay"
	"waybill.example/outbox-relay/internal/source"
)

func TestRelay_WorksThroughPgBouncerInSessionMode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relayThrough(t, s.db.PgBouncer(t, "session"), relay.Options{})
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to lead")
	await(t, func() bool { return one[bool](t, s, sleepsSQL) }, "the relay to sleep")
	s.insertMany(t, 5, 100)
	requireCounted(t, s.values(t, 500), 5, 100)
	s.drained(t)
}

// In transaction mode the lock by which a relay leads stays in a session that others are given.
func TestRelay_RefusesPgBouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.relayThrough(t, s.db.PgBouncer(t, "transaction"), relay.Options{})
	await(t, func() bool { return r.Status().Err != nil }, "an error")
	require.ErrorIs(t, r.Status().Err, source.ErrTransactionPooler)
	require.ErrorContains(t, r.Status().Err, "session mode")
	s.insertMany(t, 1, 1)
	<-time.After(grace)
	require.Zero(t, one[int64](t, s, `select epoch from outbox_cursor`), "nobody leads")
}

func TestRelay_FindsTheHostOfSeveralThatAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	several, err := url.Parse(s.db.URL)
	require.NoError(t, err)
	several.Host = "127.0.0.1:1," + several.Host
	r := s.relayThrough(t, several.String(), relay.Options{})
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to lead")
	s.insertMany(t, 1, 3)
	s.drained(t)
}
