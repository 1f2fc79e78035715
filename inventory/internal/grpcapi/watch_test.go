package grpcapi_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
)

type watched = grpc.ServerStreamingClient[inventoryv1.WatchStockResponse]

// watch returns a stream and a function that reads until a sku has a level.
func (b *bench) watch(skus ...string) (watched, func(sku string, onHand int64)) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	stream, err := b.WatchStock(ctx, &inventoryv1.WatchStockRequest{Skus: skus})
	require.NoError(b.t, err)
	return stream, func(sku string, onHand int64) {
		b.t.Helper()
		for {
			out, err := stream.Recv()
			require.NoError(b.t, err)
			for _, l := range out.GetLevels() {
				require.Contains(b.t, skus, l.GetSku())
				require.Equal(b.t, l.GetReceived(), l.GetOnHand()+l.GetReserved())
				if l.GetSku() == sku && l.GetOnHand() == onHand {
					return
				}
			}
		}
	}
}

func TestWatchStock_ShowsWhatIsThereAndWhatChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("other", 1)
	_, await := b.watch("burger", "pizza")
	await("burger", 5)
	_, err := b.reserve(1, "burger", 2)
	require.NoError(t, err)
	await("burger", 3)
	b.process(reserveCommand(2, "burger", 1)) // of the saga
	await("burger", 2)
	b.put("pizza", 7) // by an operator, or by another process: nothing wakes the hub
	await("pizza", 7)
}

// What is kept for a client that does not read is the latest level, and the others do not wait.
func TestWatchStock_SlowClientGetsTheLatest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const changes = 500
	slow, awaitSlow := b.watch("burger")
	_, await := b.watch("burger")
	for n := int64(1); n <= changes; n++ {
		b.put("burger", 5+n)
	}
	await("burger", 5+changes)
	awaitSlow("burger", 5+changes)
	require.NoError(t, slow.CloseSend())
}

func TestWatchStock_EndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stream, await := b.watch("burger")
	await("burger", 5)
	b.stop()
	_, err := stream.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}
