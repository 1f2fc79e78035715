package httpserver_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

// busy is an API with an operation that lasts until it is released, or waits in the way of
// [httpserver.Exchange].
type busy struct {
	*httpserver.Server
	entered chan struct{}
	release chan struct{}
}

func startBusy(t *testing.T, c httpserver.ConcurrencyConfig) busy {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", Concurrency: c}, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	b := busy{server, make(chan struct{}, 100), make(chan struct{})}
	operations := httpserver.Operations{API: server.API, Log: slog.New(slog.DiscardHandler)}
	type nothing struct{}
	httpserver.Handle(operations, huma.Operation{OperationID: "work", Method: http.MethodGet, Path: "/work"},
		func(context.Context, *nothing) (*nothing, error) {
			b.entered <- struct{}{}
			<-b.release
			return &nothing{}, nil
		})
	type waits struct{ httpserver.Exchange }
	httpserver.Handle(operations, huma.Operation{OperationID: "wait", Method: http.MethodGet, Path: "/wait"},
		func(_ context.Context, in *waits) (*nothing, error) {
			in.Extend(time.Minute)
			b.entered <- struct{}{}
			<-b.release
			return &nothing{}, nil
		})
	return b
}

func (b busy) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestConcurrency_ARequestThatFindsTheQueueFullIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	b := startBusy(t, httpserver.ConcurrencyConfig{MaxRequests: 2, MaxQueued: 1, QueueTimeout: time.Hour})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { b.get("/work") })
		<-b.entered
	}
	refused := make(chan *httptest.ResponseRecorder, 2)
	for range 2 { // one has its place in the queue
		go func() { refused <- b.get("/work") }()
	}
	w := <-refused
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, http.StatusOK, b.get("/livez").Code, "what watches the process is not bounded")
	require.Equal(t, http.StatusOK, b.get("/readyz").Code)
	require.Equal(t, http.StatusOK, b.get("/metrics").Code)
	close(b.release)
	require.Equal(t, http.StatusNoContent, (<-refused).Code)
	all.Wait()
}

func TestConcurrency_ARequestIsNotInTheQueueForever(t *testing.T) {
	t.Parallel()
	b := startBusy(t, httpserver.ConcurrencyConfig{MaxRequests: 1, MaxQueued: 1, QueueTimeout: 10 * time.Millisecond})
	var all sync.WaitGroup
	all.Go(func() { b.get("/work") })
	<-b.entered
	for range 3 {
		require.Equal(t, http.StatusServiceUnavailable, b.get("/work").Code)
	}
	close(b.release)
	all.Wait()
	require.Equal(t, http.StatusNoContent, b.get("/work").Code)
}

func TestConcurrency_RequestsThatWaitDoNotCount(t *testing.T) {
	t.Parallel()
	b := startBusy(t, httpserver.ConcurrencyConfig{MaxRequests: 1})
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { b.get("/wait") })
		<-b.entered
	}
	all.Go(func() { b.get("/work") })
	<-b.entered
	close(b.release)
	all.Wait()
}
