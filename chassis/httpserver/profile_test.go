package httpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
)

func TestProfiles_AreServedOnlyWhereTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0", PprofAddr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	var line struct{ Msg, Addr string }
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	require.Equal(t, "serving profiles", line.Msg)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	status, _, body := get(t, "http://"+line.Addr+"/debug/pprof/heap?debug=1")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "heap profile")
	status, _, _ = get(t, "http://"+s.Addr()+"/debug/pprof/")
	require.Equal(t, http.StatusNotFound, status)

	cancel()
	require.NoError(t, <-done)
	http.DefaultClient.CloseIdleConnections()
}
