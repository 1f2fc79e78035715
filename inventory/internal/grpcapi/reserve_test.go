package grpcapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/internal/grpcapi"
)

const (
	reserved = inventoryv1.ReservationState_RESERVATION_STATE_RESERVED
	rejected = inventoryv1.ReservationState_RESERVATION_STATE_REJECTED
)

func TestReserve_IsDecidedOnceAndAnsweredAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("pizza", 1)
	first, err := b.reserve(1, "burger", 2, "pizza", 1)
	require.NoError(t, err)
	require.Equal(t, reserved, first.GetState())
	require.False(t, first.GetRepeated())
	again, err := b.reserve(1, "pizza", 1, "burger", 2)
	require.NoError(t, err)
	require.True(t, again.GetRepeated())
	require.Equal(t, first.GetDecidedAt().AsTime(), again.GetDecidedAt().AsTime())
	b.requireLevel("burger", 3, 2)
	b.requireLevel("pizza", 0, 1)

	short, err := b.reserve(2, "burger", 1, "pizza", 1)
	require.NoError(t, err, "a rejection is an answer, and is kept")
	require.Equal(t, rejected, short.GetState())
	require.Contains(t, short.GetReason(), "pizza")
	b.requireLevel("burger", 3, 2)

	released, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{OrderId: 1})
	require.NoError(t, err)
	require.False(t, released.GetRepeated())
	released, err = b.Release(t.Context(), &inventoryv1.ReleaseRequest{OrderId: 1})
	require.NoError(t, err)
	require.True(t, released.GetRepeated())
	late, err := b.reserve(1, "burger", 2, "pizza", 1)
	require.NoError(t, err)
	require.Equal(t, rejected, late.GetState(), "after its release an order gets nothing any more")
	b.requireLevel("burger", 5, 0)
	b.requireLevel("pizza", 1, 0)
	require.Zero(t, b.count("outbox"), "nobody has sent a command, so nothing is published")
}

func TestReserve_AndTheCommandOfTheSagaTakeEffectOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	// The call first: the saga is answered from its reservation.
	_, err := b.reserve(1, "burger", 2)
	require.NoError(t, err)
	b.process(reserveCommand(1, "burger", 2))
	b.requireLevel("burger", 3, 2)
	require.Equal(t, 1, b.count("outbox where type = 'InventoryReserved' and headers ? 'waybill-in-reply-to'"))
	// The command first: the call is answered from it.
	b.process(reserveCommand(2, "burger", 1))
	second, err := b.reserve(2, "burger", 1)
	require.NoError(t, err)
	require.Equal(t, reserved, second.GetState())
	require.True(t, second.GetRepeated())
	b.requireLevel("burger", 2, 3)
	// What either has reserved the other releases.
	b.process(releaseCommand(1))
	_, err = b.Release(t.Context(), &inventoryv1.ReleaseRequest{OrderId: 2})
	require.NoError(t, err)
	b.requireLevel("burger", 5, 0)
	require.Equal(t, 3, b.count("outbox"), "one reply per command, and none per call")
}

// Invariant: however call and command race, an order holds its items once, both are answered alike,
// and each command has one reply. The two transactions read before either has written, so the one
// that commits second must fail and look again.
func TestReserve_AndTheCommandOfTheSagaMayRace(t *testing.T) {
	t.Parallel()
	const orders = 60
	b := newBench(t)
	b.put("burger", 2*orders)
	var group errgroup.Group
	group.SetLimit(8)
	for order := int64(1); order <= orders; order++ {
		group.Go(func() error { return b.command(reserveCommand(order, "burger", 2), int32(order), 1) })
		group.Go(func() error {
			out, err := b.reserve(order, "burger", 2)
			if err == nil && out.GetState() != reserved {
				err = fmt.Errorf("order %d: %s: %s", order, out.GetState(), out.GetReason())
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	b.requireLevel("burger", 0, 2*orders)
	require.Equal(t, orders, b.count("reservations where state = 'RESERVED'"))
	require.Equal(t, orders, b.count("outbox where type = 'InventoryReserved'"))
	for order := int64(1); order <= orders; order++ {
		group.Go(func() error { return b.command(releaseCommand(order), int32(order), 2) })
		group.Go(func() error {
			_, err := b.Release(t.Context(), &inventoryv1.ReleaseRequest{OrderId: order})
			return err
		})
	}
	require.NoError(t, group.Wait())
	b.requireLevel("burger", 2*orders, 0)
}

func TestReserve_OtherItemsOfADecidedOrderAreAConflict(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.reserve(1, "burger", 2)
	require.NoError(t, err)
	_, err = b.reserve(1, "burger", 3)
	requireRefused(t, err, codes.AlreadyExists, "ORDER_HAS_OTHER_ITEMS")
	b.requireLevel("burger", 3, 2)
}

// lateTimer is a context whose deadline has passed and whose timer has not fired.
type lateTimer struct{ context.Context }

func (lateTimer) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

// The statement has a timer of its own for the client's deadline, and may learn of it first.
func TestCalls_AStatementThatEndsWithTheDeadlineIsDeadlineExceeded(t *testing.T) {
	t.Parallel()
	call := grpcapi.Calls(slog.New(slog.DiscardHandler))
	info := &grpc.UnaryServerInfo{FullMethod: "Reserve"}
	timedOut := func(context.Context, any) (any, error) {
		return nil, fmt.Errorf("reserve: %w", context.DeadlineExceeded)
	}
	_, err := call(lateTimer{t.Context()}, nil, info, timedOut)
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	_, err = call(t.Context(), nil, info, timedOut)
	require.Equal(t, codes.Unavailable, status.Code(err), "without a deadline of the client's: %v", err)
}

// A call that waits for a lock longer than its client does leaves nothing behind.
func TestReserve_HonoursTheDeadline(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "select 1 from stock where sku = 'burger' for update")
	require.NoError(t, err)
	_, err = b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: "burger"}) // by another connection, which the call finds
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = b.Reserve(ctx, &inventoryv1.ReserveRequest{OrderId: 1, Items: items("burger", 2)})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
	// The server gives up too: its statement is cancelled while the lock is still held.
	require.Eventually(t, func() bool {
		return b.count("pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") == 0
	}, patience, 10*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	b.requireLevel("burger", 5, 0)
	require.Zero(t, b.count("reservations"))
	out, err := b.reserve(1, "burger", 2)
	require.NoError(t, err)
	require.False(t, out.GetRepeated())
}
