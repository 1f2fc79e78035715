package httpapi_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/contracts"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A client that sends one byte more than its request and leaves is not noticed by net/http. A
// stream without news must end all the same, and not look at the database until its saga moves.
func TestStream_EndsWhenItsClientHasGone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	definitions, err := orderflow.Definitions(ordersaga.DefaultTiming())
	require.NoError(t, err)
	sagas, err := runner.New(t.Context(), runner.Config{DB: db.Pool, Consumer: "test", Definitions: definitions, Codec: orderflow.Codec{}})
	require.NoError(t, err)
	begin(t, db.Pool, sagas)

	router := chi.NewRouter()
	ended := make(chan struct{})
	router.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			close(ended)
		})
	})
	api := &httpapi.API{Sagas: inspect.New(db.Pool, sagas.Registry()), Runner: sagas, Log: slog.New(slog.DiscardHandler), AliveEvery: 20 * time.Millisecond}
	api.Register(humachi.New(router, huma.DefaultConfig("test", "1")))
	server := httptest.NewServer(router)
	defer server.Close()

	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "GET /v1/sagas/1/stream HTTP/1.1\r\nHost: localhost\r\n\r\nx")
	require.NoError(t, err)
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "event: alive" {
	}
	require.NoError(t, lines.Err())
	require.NoError(t, conn.Close())
	select {
	case <-ended:
	case <-time.After(time.Minute):
		require.Fail(t, "the stream goes on without its client")
	}
}

// begin starts the saga of order 1.
func begin(t *testing.T, db *pgxpool.Pool, sagas *runner.Runner) {
	t.Helper()
	m, err := orderflow.Message(contracts.OrderCreated{
		Envelope: contracts.NewEnvelope(1, uuid.Nil, time.Now()), UserID: "u", SKU: "burger", Quantity: 1,
	}, "")
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return sagas.Start(t.Context(), tx, m)
	}))
}
