package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"waybill.example/chassis/terminal"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
)

// callAndWait reserves an item in the other style, by a call that waits for the answer, and gives
// it back.
func (c client) callAndWait(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	conn, err := grpc.NewClient(c.addrs.InventoryGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to Inventory: %w", err)
	}
	defer conn.Close()
	inventory, began := inventoryv1.NewInventoryServiceClient(conn), time.Now()
	order := began.UnixMicro() // no order has this id, and none will have
	reserved, err := inventory.Reserve(ctx, &inventoryv1.ReserveRequest{OrderId: order, Items: []*inventoryv1.Item{{Sku: "burger", Quantity: 1}}})
	if err != nil {
		return fmt.Errorf("reserve over gRPC: %w", err)
	}
	took := time.Since(began)
	if _, err := inventory.Release(ctx, &inventoryv1.ReleaseRequest{OrderId: order}); err != nil {
		return fmt.Errorf("release over gRPC: %w", err)
	}
	if reserved.GetState() != inventoryv1.ReservationState_RESERVATION_STATE_RESERVED {
		return fmt.Errorf("reserve over gRPC: %s", reserved.GetReason())
	}
	terminal.Fprintf(out, "\nReserve over gRPC, called and waited for: 1 × burger RESERVED after %s, and released\n", milliseconds(took))
	return nil
}
