package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/pgtest"
	"waybill.example/devstack/schematest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/app"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/internal/watch"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is the API on a database of the test's own, called without a network.
type fixture struct {
	*pgtest.Database
	server *httpserver.Server
	hub    *watch.Hub
}

func start(t testing.TB) fixture {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	schematest.Watch(t, db.Pool)
	return on(t, db)
}

func on(t testing.TB, db *pgtest.Database) fixture {
	t.Helper()
	return with(t, db, func(*httpapi.Service) {})
}

// with is on with settings of the test's own.
func with(t testing.TB, db *pgtest.Database, set func(*httpapi.Service)) fixture {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", MaxWaiting: 100}, httpserver.Options{
		Title: "Orders", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	store := postgres.NewStore(db.Pool)
	hub := watch.New(store, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	service := httpapi.Service{
		Store: store, Place: app.NewPlacer(store), Hub: hub, Waiting: server.Waiting, Log: slog.New(slog.DiscardHandler), AliveEvery: 50 * time.Millisecond,
	}
	set(&service)
	httpapi.Register(server.API, service)
	return fixture{db, server, hub}
}

func (f fixture) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.server.Router.ServeHTTP(w, r)
	return w
}

func (f fixture) get(path string) *httptest.ResponseRecorder {
	return f.do(httptest.NewRequest(http.MethodGet, path, nil))
}

func (f fixture) post(path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return f.do(r)
}

// place stores a valid order and returns its id.
func (f fixture) place(t *testing.T, body string) int64 {
	t.Helper()
	w := f.post("/v1/orders", body)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	var accepted struct{ ID int64 }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &accepted))
	return accepted.ID
}

func (f fixture) count(t *testing.T, sql string) (n int) {
	t.Helper()
	require.NoError(t, f.Pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// problem is RFC 9457's, as far as the tests look.
type problem struct {
	Status int
	Detail string
	Errors []struct{ Message, Location string }
}

// requireProblem checks an answer's form, and that nothing of the inside shows in it.
func requireProblem(t *testing.T, status int, w *httptest.ResponseRecorder) problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Less(t, w.Body.Len(), 2_000)
	for _, inside := range []string{"select", "insert", "SQLSTATE", "postgres://", "goroutine", ".go:", "httpapi", "pgx"} {
		require.NotContains(t, w.Body.String(), inside)
	}
	var p problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, status, p.Status)
	return p
}
