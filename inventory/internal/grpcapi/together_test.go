package grpcapi_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
)

// Calls that come at once share a transaction. Nobody is harmed by another's call: not by one that
// is rejected, nor by one whose deadline is over before anything can be done, which is decided once
// all the same, or not at all.
func TestReserve_CallsAtOnceShareTransactionsAndHarmNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const calls = 300
	b.put("cola", calls)
	var callers sync.WaitGroup
	for order := int64(1); order <= calls; order++ {
		callers.Go(func() {
			sku, quantity, within := "cola", 1, patience
			switch order % 3 {
			case 1:
				sku, quantity = "burger", 6 // of which there are five
			case 2:
				within = time.Duration(order) * 10 * time.Microsecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			reply, err := b.Reserve(ctx, &inventoryv1.ReserveRequest{OrderId: order, Items: items(sku, quantity)})
			switch order % 3 {
			case 0:
				if err != nil || reply.GetState() != inventoryv1.ReservationState_RESERVATION_STATE_RESERVED {
					t.Errorf("order %d: %v %v", order, reply, err)
				}
			case 1:
				if err != nil || reply.GetState() != inventoryv1.ReservationState_RESERVATION_STATE_REJECTED {
					t.Errorf("order %d: %v %v", order, reply, err)
				}
			case 2:
				if code := status.Code(err); code != codes.OK && code != codes.DeadlineExceeded {
					t.Errorf("order %d: %v", order, err)
				}
			}
		})
	}
	callers.Wait()
	transactions := b.count("(select distinct xmin::text from reservations where order_id % 3 < 2) as shared")
	require.Less(t, transactions, calls*2/3, "calls that come at once share transactions")
	for order := int64(2); order <= calls; order += 3 {
		reply, err := b.reserve(order, "cola", 1)
		require.NoError(t, err)
		require.Equal(t, inventoryv1.ReservationState_RESERVATION_STATE_RESERVED, reply.GetState())
	}
	b.requireLevel("cola", calls/3, calls*2/3)
	b.requireLevel("burger", 5, 0)
}
