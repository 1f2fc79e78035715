package httpapi_test

import (
	"log/slog"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
)

// A service that embeds its sagas serves the orchestrator's API for them.
func Example() {
	serve := func(db *pgxpool.Pool, sagas *runner.Runner) *chi.Mux {
		router := chi.NewRouter()
		api := httpapi.API{Sagas: inspect.New(db, sagas.Registry()), Runner: sagas, Log: slog.Default()}
		api.Register(humachi.New(router, huma.DefaultConfig("Trips", "1")))
		return router
	}
	_ = serve
}
