package grpcserver_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/internal/grpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is what a test has the server serve.
type service struct {
	inventoryv1.UnimplementedInventoryServiceServer

	get func(context.Context) error
}

func (s service) GetStock(ctx context.Context, _ *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	return &inventoryv1.GetStockResponse{}, s.get(ctx)
}

func (service) WatchStock(_ *inventoryv1.WatchStockRequest, stream inventoryv1.InventoryService_WatchStockServer) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// running is a server that serves.
type running struct {
	*grpc.ClientConn

	metrics *prometheus.Registry
	stop    context.CancelFunc
	stopped chan error
}

func start(t *testing.T, get, ready func(context.Context) error) *running {
	t.Helper()
	return startWith(t, time.Minute, get, ready)
}

// startWith bounds how long the calls under way may take on a stop.
func startWith(t *testing.T, drain time.Duration, get, ready func(context.Context) error) *running {
	t.Helper()
	r := &running{metrics: prometheus.NewRegistry(), stopped: make(chan error, 1)}
	pass := func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return handle(s, stream)
	}
	server, err := grpcserver.New(grpcserver.Config{Addr: "127.0.0.1:0"}, grpcserver.Options{
		Log: slog.New(slog.DiscardHandler), Metrics: r.metrics, Ready: ready, Stream: pass, DrainTimeout: drain,
	})
	require.NoError(t, err)
	inventoryv1.RegisterInventoryServiceServer(server, service{get: get})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // the test's own ends before its cleanups
	r.stop = cancel
	ended := make(chan struct{})
	go func() { defer close(ended); r.stopped <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	r.ClientConn, err = grpc.NewClient(server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func always(context.Context) error { return nil }

func TestHealth_ServesOnlyWhenReady(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	r := start(t, always, func(context.Context) error {
		if down.Load() {
			return errors.New("no database")
		}
		return nil
	})
	health := healthpb.NewHealthClient(r)
	state := func(name string) healthpb.HealthCheckResponse_ServingStatus {
		out, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		require.NoError(t, err)
		return out.GetStatus()
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "inventory.v1.InventoryService"})
	require.NoError(t, err)
	await := func(want healthpb.HealthCheckResponse_ServingStatus) {
		for {
			out, err := watch.Recv()
			require.NoError(t, err)
			if out.GetStatus() == want {
				return
			}
		}
	}
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, state(""))
	await(healthpb.HealthCheckResponse_SERVING)
	down.Store(true)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, state("inventory.v1.InventoryService"))
	await(healthpb.HealthCheckResponse_NOT_SERVING)
	_, err = health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "unknown"})
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestServer_ReflectionNamesTheServices(t *testing.T) {
	t.Parallel()
	r := start(t, always, always)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(r).ServerReflectionInfo(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	out, err := stream.Recv()
	require.NoError(t, err)
	var names []string
	for _, s := range out.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	require.Contains(t, names, "inventory.v1.InventoryService")
	require.Contains(t, names, "grpc.health.v1.Health")
}

func TestServer_PanicIsInternalAndCounted(t *testing.T) {
	t.Parallel()
	r := start(t, func(context.Context) error { panic("secret") }, always)
	_, err := inventoryv1.NewInventoryServiceClient(r).GetStock(t.Context(), &inventoryv1.GetStockRequest{})
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "secret")
	families, err := r.metrics.Gather()
	require.NoError(t, err)
	var internal float64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "grpc_server_handled_total" && l.GetName() == "grpc_code" && l.GetValue() == "Internal" {
					internal += m.GetCounter().GetValue()
				}
			}
		}
	}
	require.InDelta(t, 1, internal, 0)
}

// On a stop a call under way finishes and a stream ends, and both clients know what to do.
func TestServer_StopLetsCallsFinishAndEndsStreams(t *testing.T) {
	t.Parallel()
	entered, finish := make(chan struct{}), make(chan struct{})
	r := start(t, func(context.Context) error { close(entered); <-finish; return nil }, always)
	client := inventoryv1.NewInventoryServiceClient(r)
	stream, err := client.WatchStock(t.Context(), &inventoryv1.WatchStockRequest{})
	require.NoError(t, err)
	called := make(chan error, 1)
	go func() {
		_, err := client.GetStock(t.Context(), &inventoryv1.GetStockRequest{})
		called <- err
	}()
	<-entered
	r.stop()
	_, err = stream.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	close(finish)
	require.NoError(t, <-called)
	require.NoError(t, <-r.stopped)
}

// A client that neither reads nor ends its stream does not hold the stop up for longer than the
// bound.
func TestServer_StopIsBounded(t *testing.T) {
	t.Parallel()
	r := startWith(t, time.Second, always, always)
	stream, err := reflectionpb.NewServerReflectionClient(r).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	_, err = stream.Recv()
	require.NoError(t, err)
	r.stop()
	select {
	case err := <-r.stopped:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("it does not stop")
	}
}

func TestNew_NamesTheSettingOfAPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = grpcserver.New(grpcserver.Config{Addr: taken.Addr().String()}, grpcserver.Options{})
	require.ErrorContains(t, err, "GRPC_ADDR")
}
