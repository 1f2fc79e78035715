package grpcserver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// readyEvery is how often a watched service is looked at; who asks once gets the answer of a check
// that is made for it.
const (
	readyEvery   = time.Second
	readyTimeout = time.Second
)

// healthService is the standard health service. All services of the server have the state of the
// process: SERVING where it is ready, as in /readyz.
type healthService struct {
	*health.Server

	ready func(context.Context) error

	watchers atomic.Int64
	mu       sync.Mutex // one check at a time; guards what follows
	services []string
}

func newHealthService(ready func(context.Context) error) *healthService {
	h := &healthService{Server: health.NewServer(), ready: ready, services: []string{""}}
	h.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	return h
}

// add has a service answered for. It begins as not serving.
func (h *healthService) add(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.services = append(h.services, name)
	h.SetServingStatus(name, healthpb.HealthCheckResponse_NOT_SERVING)
}

// Check implements healthpb.HealthServer.
func (h *healthService) Check(ctx context.Context, in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.look(ctx)
	return h.Server.Check(ctx, in)
}

// Watch implements healthpb.HealthServer.
func (h *healthService) Watch(in *healthpb.HealthCheckRequest, to healthpb.Health_WatchServer) error {
	h.watchers.Add(1)
	defer h.watchers.Add(-1)
	h.look(to.Context())
	return h.Server.Watch(in, to)
}

// run keeps the state current for those who watch it. While nobody does, nothing is asked.
func (h *healthService) run(ctx context.Context) {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for {
		if h.watchers.Load() > 0 {
			h.look(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *healthService) look(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Detached: a client that hangs up does not make the service unhealthy for others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	state := healthpb.HealthCheckResponse_SERVING
	if h.ready(ctx) != nil {
		state = healthpb.HealthCheckResponse_NOT_SERVING
	}
	for _, name := range h.services {
		h.SetServingStatus(name, state)
	}
}
