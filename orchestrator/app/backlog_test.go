package app_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
)

// metric is the value of a metric without labels.
func (s *system) metric(name string) float64 {
	s.t.Helper()
	response, err := http.Get("http://" + s.addr + "/metrics")
	require.NoError(s.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(s.t, err)
			return number
		}
	}
	return 0
}

// The reply has come before the deadline, and waits to be read: the deadline waits for it, however
// long that takes.
func TestADeadlineWaitsForTheRepliesThatHaveCome(t *testing.T) {
	t.Parallel()
	s := startSystem(t, func(c *settings) { c.Timing.ReserveWithin, c.Timing.ReserveAttempts = 5*time.Second, 1 })
	s.publishes()
	s.send(contracts.OrderCreated{Envelope: contracts.NewEnvelope(1, uuid.Nil, time.Now()), UserID: "u1", SKU: "burger", Quantity: 2})
	reserve := s.command(1, contracts.TypeReserveInventory, 1)

	lock, err := s.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "lock table inbox in exclusive mode")
	require.NoError(t, err)
	s.send(contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reserved: true})
	s.eventually(func() bool { return s.metric("waybill_saga_deadlines_behind_seconds") > 1 }, "the deadline has passed, and waits")
	require.NoError(t, lock.Rollback(t.Context()))

	s.command(1, contracts.TypeConfirmOrder, 1)
	var released int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from outbox where type = 'ReleaseInventory'").Scan(&released))
	require.Zero(t, released, "no participant was silent")
}

// Two things that go by one id, as after a restore that hands out ids again: the second is set
// aside and counted, and the saga of the first goes on.
func TestAStartByAnotherMessageIsACountedDeadLetter(t *testing.T) {
	t.Parallel()
	s := startSystem(t, nil)
	s.send(contracts.OrderCreated{Envelope: contracts.NewEnvelope(1, uuid.Nil, time.Now()), UserID: "alice", SKU: "burger", Quantity: 2})
	reserve := s.command(1, contracts.TypeReserveInventory, 1)
	s.send(contracts.OrderCreated{Envelope: contracts.NewEnvelope(1, uuid.Nil, time.Now()), UserID: "bob", SKU: "pizza", Quantity: 1})
	s.eventually(func() bool { return s.metric("waybill_saga_start_conflicts_total") == 1 }, "the conflict is counted")
	var letters int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), "select count(*) from outbox where topic = 'orders.v1.dlq'").Scan(&letters))
	require.Equal(t, 1, letters)
	s.send(contracts.InventoryReserved{Envelope: contracts.NewEnvelope(1, reserve, time.Now()), Reserved: true})
	s.command(1, contracts.TypeConfirmOrder, 1)
}
