package service_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/service"
)

// Every service is run by its own tests, so none can have a route that its document does not have.
func TestApp_RunsNoRouteThatTheDocumentLacks(t *testing.T) {
	t.Parallel()
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Parcels", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	httpserver.Handle(httpserver.Operations{API: server.API, Log: slog.New(slog.DiscardHandler)},
		huma.Operation{OperationID: "get-parcel", Method: http.MethodGet, Path: "/parcels/{id}"},
		func(context.Context, *struct {
			ID int64 `path:"id"`
		},
		) (*struct{}, error) {
			return nil, nil
		})
	require.Empty(t, server.Undocumented())
	server.Router.Delete("/parcels/{id}", func(http.ResponseWriter, *http.Request) {})
	server.Router.Get("/debug", func(http.ResponseWriter, *http.Request) {})
	require.ElementsMatch(t, []string{"DELETE /parcels/{id}", "GET /debug"}, server.Undocumented())
	app := service.NewApp(slog.New(slog.DiscardHandler))
	app.Serve(server)
	require.ErrorContains(t, app.Run(t.Context()), "the OpenAPI document lacks")
}
