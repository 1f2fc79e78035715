package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/service"
	inventoryv1 "waybill.example/contracts/proto/inventory/v1"
	"waybill.example/inventory/internal/consumer"
	"waybill.example/inventory/internal/grpcapi"
	"waybill.example/inventory/internal/grpcserver"
	"waybill.example/inventory/internal/postgres"
	"waybill.example/inventory/internal/watch"
	"waybill.example/sdk/inbox"
)

// serveGRPC adds the gRPC server, and what those who watch stock are served from.
func serveGRPC(app *service.App, cfg Config, tokens admin.Tokens, store *postgres.Store, handler *consumer.Handler,
	checks []httpserver.Check, log *slog.Logger, metrics *prometheus.Registry,
) error {
	calls := []grpc.UnaryServerInterceptor{grpcapi.Calls(log)}
	if !tokens.Empty() {
		calls = append(calls, grpcapi.Guard(tokens))
	}
	encryption, err := cfg.HTTP.TLS.Server(log)
	if err != nil {
		return err
	}
	server, err := grpcserver.New(cfg.GRPC, grpcserver.Options{
		Log: log, Metrics: metrics, Ready: ready(checks), TLS: encryption,
		Unary: calls, Stream: grpcapi.Streams(log),
	})
	if err != nil {
		return err
	}
	hub := watch.NewHub(store.LevelsOf)
	wakeAfter(handler, hub)
	inventoryv1.RegisterInventoryServiceServer(server, grpcapi.New(store, hub, log))
	app.Add("stock watch", hub.Run)
	app.Add("grpc server", server.Run)
	return nil
}

// wakeAfter has those who watch stock see what the consumer commits.
func wakeAfter(handler *consumer.Handler, hub *watch.Hub) {
	observe := handler.Observe
	handler.Observe = func(o inbox.Outcome) {
		observe(o)
		if o.Applied > 0 {
			hub.Wake()
		}
	}
}

// ready is what the health service answers from: the checks that /readyz requires.
func ready(checks []httpserver.Check) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range checks {
			if !c.Required {
				continue
			}
			if err := c.Run(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}
