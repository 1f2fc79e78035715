package grpcserver_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/certs"
	"waybill.example/inventory/internal/grpcserver"
)

// With the certificate of the service, gRPC is not in the clear either.
func TestServer_HasTheCertificateOfTheService(t *testing.T) {
	t.Parallel()
	authority := certs.New(t)
	pair := authority.Issue(t, "inventory")
	encryption, err := httpserver.TLSConfig{CertFile: pair.Cert, KeyFile: pair.Key}.Server(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server, err := grpcserver.New(grpcserver.Config{Addr: "127.0.0.1:0"}, grpcserver.Options{
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), TLS: encryption, Ready: always,
		Stream: func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return handle(s, stream)
		},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	check := func(c credentials.TransportCredentials) error {
		client, err := grpc.NewClient(server.Addr(), grpc.WithTransportCredentials(c))
		require.NoError(t, err)
		defer client.Close()
		_, err = healthpb.NewHealthClient(client).Check(t.Context(), &healthpb.HealthCheckRequest{})
		return err
	}
	require.NoError(t, check(credentials.NewTLS(&tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12})))
	require.Equal(t, codes.Unavailable, status.Code(check(insecure.NewCredentials())))
}
