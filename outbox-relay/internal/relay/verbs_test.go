package relay_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"waybill.example/chassis/auditlog"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/relay"
)

func TestRetryReportsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := s.ops(t)
	fault := s.refusePoison(kerr.InvalidRecord)
	s.insert(t, "k1", "poison")
	s.insert(t, "k1", "2")
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 2 }, "the rows to be stuck and parked")
	s.exec(t, `update outbox_stuck set next_attempt_at = now() + interval '1 hour' where not parked`)

	outcome, err := d.Retry(t.Context(), operator, 1)
	require.NoError(t, err)
	require.Equal(t, "refused again", outcome.Result)
	_, err = d.Retry(t.Context(), operator, 2)
	require.ErrorIs(t, err, ops.ErrConflict, "a parked row cannot be tried before the one it waits for")
	_, err = d.Retry(t.Context(), operator, 99)
	require.ErrorIs(t, err, ops.ErrNotFound)

	fault.Remove()
	outcome, err = d.Retry(t.Context(), operator, 1)
	require.NoError(t, err)
	require.Equal(t, "published", outcome.Result)
	require.Equal(t, []string{"poison", "2"}, s.values(t, 2)["k1"])
}

// A discarded row is never sent; what waited for it goes out; and it is on record who decided so
// and why.
func TestDiscardLetsTheFollowersGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := s.ops(t)
	s.refusePoison(kerr.InvalidRecord)
	s.insert(t, "k1", "poison")
	s.insertMany(t, 1, 3)
	s.relay(t, relay.Options{})
	await(t, func() bool { return s.stuck(t) == 4 }, "the rows to be stuck and parked")

	row, err := d.Row(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "stuck", row.Status)
	require.EqualValues(t, 3, row.ParkedBehind)
	row, err = d.Row(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, new(int64(1)), row.WaitsFor)

	_, err = d.Discard(t.Context(), ops.By{Actor: "ada"}, 1)
	require.ErrorIs(t, err, ops.ErrInvalid, "a reason is required")
	outcome, err := d.Discard(t.Context(), operator, 1)
	require.NoError(t, err)
	require.Equal(t, "discarded", outcome.Result)
	requireCounted(t, s.values(t, 3), 1, 3)
	await(t, func() bool { return s.stuck(t) == 0 }, "no row to be stuck")
	s.insert(t, "k1", "4")
	require.Len(t, s.values(t, 4)["k1"], 4, "the key flows again")

	audit, err := d.AuditLog(t.Context(), auditlog.Filter{})
	require.NoError(t, err)
	require.Len(t, audit, 1, "what was refused is not recorded as done")
	require.Equal(t, "outbox.discard", audit[0].Action)
	require.Equal(t, "ada", audit[0].Actor)
	require.Equal(t, "test", audit[0].Reason)
	require.Equal(t, "outbox/1", audit[0].Object)
	require.Contains(t, string(audit[0].Before), `"status":"stuck"`)
	require.JSONEq(t, `{"status":"discarded"}`, string(audit[0].After))
}

func TestPauseHoldsRowsBackUntilResume(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := s.ops(t)
	r := s.relay(t, relay.Options{})
	await(t, func() bool { return r.Status().State == relay.Leading }, "the relay to lead")
	changed, err := d.Pause(t.Context(), operator)
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = d.Pause(t.Context(), operator)
	require.NoError(t, err)
	require.False(t, changed)
	await(t, func() bool { return r.Status().State == relay.Paused }, "the relay to be paused")
	s.insertMany(t, 1, 3)
	overview, err := d.Overview(t.Context())
	require.NoError(t, err)
	require.True(t, overview.Paused)
	require.EqualValues(t, 3, overview.Pending)
	require.NotNil(t, overview.OldestPending)
	pending, err := d.Pending(t.Context(), 1, 10)
	require.NoError(t, err)
	require.Len(t, pending, 2)
	require.Empty(t, s.broker.All(t, topic))
	_, err = d.Resume(t.Context(), operator)
	require.NoError(t, err)
	requireCounted(t, s.values(t, 3), 1, 3)
}
