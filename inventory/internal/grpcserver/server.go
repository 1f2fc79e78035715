// Package grpcserver is what stands around a gRPC service: one listener with limits and keepalive,
// metrics, recovery from panics, the standard health service and reflection, and a stop that lets
// calls finish and ends streams. It knows no service; see package grpcapi for Inventory's.
package grpcserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	prommetrics "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"waybill.example/chassis/tracing"
)

// Config says where to listen.
type Config struct {
	Addr string `env:"GRPC_ADDR"`
}

// Limits on a client that is slow or hostile; those of a message and of headers are the HTTP
// server's.
const (
	maxMessageBytes  = 64 << 10
	maxHeaderBytes   = 32 << 10
	maxStreams       = 128 // calls and streams under way, per connection
	maxConnections   = 4096
	handshakeTimeout = 5 * time.Second
	drainTimeout     = 10 * time.Second
)

// A connection whose client has vanished is found within a minute, and a client may ask for signs
// of life every ten seconds, also while it has no call.
var (
	signsOfLife   = keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second, MaxConnectionIdle: 10 * time.Minute}
	clientsAskFor = keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}
)

// Options are what a server is made of.
type Options struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Ready returns nil where the service can do its work; the health service answers SERVING only
	// then.
	Ready func(context.Context) error
	// TLS, if not nil, is the certificate.
	TLS *tls.Config
	// DrainTimeout is what calls that are under way have to finish after the stop; 0: ten seconds.
	DrainTimeout time.Duration
	// Unary and Stream run around the handlers, inside of recovery and metrics.
	Unary  []grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// Server serves gRPC. It is a [grpc.ServiceRegistrar]: register services before Run.
type Server struct {
	grpc     *grpc.Server
	log      *slog.Logger
	listener net.Listener
	metrics  *prommetrics.ServerMetrics
	health   *healthService
	drain    time.Duration
	stopping chan struct{} // closed when the server begins to stop
}

// New listens on the configured address, so that a port in use is found at once, and returns a
// server that Run will serve.
func New(c Config, o Options) (*Server, error) {
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for gRPC on %s (set GRPC_ADDR for another address): %w", c.Addr, err)
	}
	s := &Server{
		log: o.Log, listener: netutil.LimitListener(listener, maxConnections),
		drain: cmp.Or(o.DrainTimeout, drainTimeout), stopping: make(chan struct{}),
	}
	s.metrics = prommetrics.NewServerMetrics(prommetrics.WithServerHandlingTimeHistogram(
		prommetrics.WithHistogramBuckets(prometheus.ExponentialBuckets(0.0005, 2, 14))))
	if err := o.Metrics.Register(s.metrics); err != nil {
		listener.Close()
		return nil, fmt.Errorf("register the metrics of gRPC: %w", err)
	}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		tracing.Calls(),
		encrypted(o.TLS),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(signsOfLife),
		grpc.KeepaliveEnforcementPolicy(clientsAskFor),
		grpc.WaitForHandlers(true), // what handlers use is closed after the server
		grpc.ChainUnaryInterceptor(s.metrics.UnaryServerInterceptor(), tracedCall, recoveredCall(o.Log), readableCall),
		grpc.ChainUnaryInterceptor(o.Unary...),
		grpc.ChainStreamInterceptor(s.metrics.StreamServerInterceptor(), recoveredStream(o.Log), s.endsOnStop, readableStream, o.Stream),
	)
	s.health = newHealthService(o.Ready)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s, nil
}

// encrypted is the option of a server with a certificate.
func encrypted(c *tls.Config) grpc.ServerOption {
	if c == nil {
		return grpc.EmptyServerOption{}
	}
	return grpc.Creds(credentials.NewTLS(c))
}

// RegisterService implements [grpc.ServiceRegistrar].
func (s *Server) RegisterService(desc *grpc.ServiceDesc, service any) {
	s.grpc.RegisterService(desc, service)
	s.health.add(desc.ServiceName)
}

// Addr is the address that the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends. Then it accepts no calls, ends streams, and lets calls that are under
// way finish for a while.
func (s *Server) Run(ctx context.Context) error {
	s.metrics.InitializeMetrics(s.grpc)
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(s.listener) }()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	watched := make(chan struct{})
	go func() { defer close(watched); s.health.run(watching) }()
	s.log.InfoContext(ctx, "serving gRPC", "addr", s.Addr())
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve gRPC: %w", err)
	case <-ctx.Done():
		err = s.stop(served)
	}
	stopWatching()
	<-watched
	return err
}

func (s *Server) stop(served <-chan error) error {
	s.health.Shutdown()
	close(s.stopping)
	drained := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(s.drain):
		s.grpc.Stop() // a client that does not end its stream
		<-drained
	}
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("stop gRPC: %w", err)
	}
	return nil
}
