package app_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/devstack/loopback"
)

// The service itself: gRPC and HTTP show one stock, and gRPC says SERVING where /readyz says ready.
func TestApp_ServesTheSameStockOverGRPC(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	port, err := loopback.FreePort()
	require.NoError(t, err)
	cfg := s.config()
	cfg.GRPC.Addr = loopback.Addr(port)
	service := s.startWith(cfg)
	service.put("burger", 5)

	conn, err := grpc.NewClient(cfg.GRPC.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	health := healthpb.NewHealthClient(conn)
	require.Eventually(t, func() bool {
		out, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "inventory.v1.InventoryService"})
		return err == nil && out.GetStatus() == healthpb.HealthCheckResponse_SERVING
	}, time.Minute, 10*time.Millisecond)
	_, err = inventoryv1.NewInventoryServiceClient(conn).Reserve(t.Context(), &inventoryv1.ReserveRequest{
		OrderId: 1, Items: []*inventoryv1.Item{{Sku: "burger", Quantity: 2}},
	})
	require.NoError(t, err)
	service.requireLevel("burger", 3, 2)
}
