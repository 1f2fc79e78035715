package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orders/internal/httpapi"
	"waybill.example/orders/internal/postgres"
	"waybill.example/orders/internal/shed"
)

func TestPlace_AUserWhoOrdersTooOftenIsToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	f := with(t, pgtest.New(t, migrations.Outbox, migrations.Orders), func(s *httpapi.Service) {
		s.Rates = httpserver.NewRateLimiter("user", 1.0/3600, 2)
	})
	for _, left := range []string{"1", "0"} {
		w := f.post("/v1/orders", burger)
		require.Equal(t, http.StatusAccepted, w.Code)
		require.Equal(t, left, w.Header().Get("RateLimit-Remaining"))
		require.Equal(t, `"user";q=2;w=7200`, w.Header().Get("RateLimit-Policy"))
	}
	w := f.post("/v1/orders", burger)
	requireProblem(t, http.StatusTooManyRequests, w)
	require.Equal(t, "3600", w.Header().Get("Retry-After"))
	require.Equal(t, `"user";r=0;t=7200`, w.Header().Get("RateLimit"))
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders", `{"userId":"u2","sku":"burger","quantity":1}`).Code)
	require.Equal(t, 3, f.count(t, orders))
	require.NotContains(t, start(t).post("/v1/orders", burger).Header(), "Ratelimit-Policy", "off by default")
}

func TestPlace_IsRefusedWhileTooManyOrdersWaitToBeSent(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orders)
	backlog := shed.New(2, postgres.NewStore(db.Pool).Backlog, slog.New(slog.DiscardHandler))
	f := with(t, db, func(s *httpapi.Service) { s.Backlog = backlog })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- backlog.Run(ctx) }()
	for range 3 {
		f.place(t, burger)
	}
	require.Eventually(t, backlog.Exceeded, time.Minute, 10*time.Millisecond)
	w := f.post("/v1/orders", burger)
	requireProblem(t, http.StatusServiceUnavailable, w)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.get("/v1/orders/1").Code)

	_, err := db.Pool.Exec(t.Context(), "update outbox_cursor set published = '{[1,3)}'") // as the relay does
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !backlog.Exceeded() }, time.Minute, 10*time.Millisecond)
	require.EqualValues(t, 1, backlog.Rows())
	require.Equal(t, http.StatusAccepted, f.post("/v1/orders", burger).Code)
	cancel()
	require.NoError(t, <-ended)
}
