package httpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"waybill.example/chassis/httpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server until the test ends; register adds what is tested.
func serve(t *testing.T, checks []httpserver.Check, register func(*httpserver.Server)) (url string, stop func()) {
	t.Helper()
	s, err := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Test", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Checks: checks,
	})
	require.NoError(t, err)
	if register != nil {
		register(s)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		if stopped.CompareAndSwap(false, true) {
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(func() {
		stop()
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + s.Addr(), stop
}

func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(body)
}

func TestReadyz_FailsOnlyForWhatIsRequired(t *testing.T) {
	t.Parallel()
	var database atomic.Bool
	database.Store(true)
	url, _ := serve(t, []httpserver.Check{
		{Name: "postgres", Required: true, Run: func(context.Context) error {
			if database.Load() {
				return nil
			}
			return errors.New("the database does not answer")
		}},
		{Name: "kafka", Run: func(context.Context) error { return errors.New("no broker answers") }},
	}, nil)

	status, _, body := get(t, url+"/readyz")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"status":"ready","checks":{"postgres":"ok","kafka":"no broker answers"}}`, body)

	database.Store(false)
	status, _, body = get(t, url+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.JSONEq(t, `{"status":"not ready","checks":{"postgres":"the database does not answer","kafka":"no broker answers"}}`, body)
}

func TestServer_EveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, nil, func(s *httpserver.Server) {
		s.Router.Get("/panics", func(http.ResponseWriter, *http.Request) { panic("secret detail") })
		huma.Get(s.API, "/away", func(context.Context, *struct{}) (*struct{}, error) {
			return nil, httpserver.Unavailable("the database is down")
		})
	})
	for path, want := range map[string]int{"/nowhere": 404, "/panics": 500, "/away": 503} {
		status, header, body := get(t, url+path)
		require.Equal(t, want, status, path)
		require.Equal(t, "application/problem+json", header.Get("Content-Type"), path)
		require.NotContains(t, body, "secret")
		require.NotContains(t, body, "goroutine")
		var problem struct{ Status int }
		require.NoError(t, json.Unmarshal([]byte(body), &problem))
		require.Equal(t, want, problem.Status)
		if want == 503 {
			require.Equal(t, "1", header.Get("Retry-After"))
		}
	}
	resp, err := http.Post(url+"/livez", "text/plain", strings.NewReader(""))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func TestServer_FinishesARequestInFlightAtShutdown(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	url, stop := serve(t, nil, func(s *httpserver.Server) {
		s.Router.Get("/slow", func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-leave
			_, _ = io.WriteString(w, "done")
		})
	})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(url + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(leave)
	require.Equal(t, "done", <-answer)
	<-stopped
}

func TestNew_NamesAPortInUse(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, nil, nil)
	addr := strings.TrimPrefix(url, "http://")
	_, err := httpserver.New(httpserver.Config{Addr: addr}, httpserver.Options{Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.ErrorContains(t, err, addr)
	require.ErrorContains(t, err, "HTTP_ADDR")
}

func TestMetrics_CountByRouteNotByPath(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, nil, func(s *httpserver.Server) {
		s.Router.Get("/things/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	})
	get(t, url+"/things/17")
	require.Eventually(t, func() bool {
		_, _, body := get(t, url+"/metrics")
		return strings.Contains(body, `http_request_duration_seconds_count{method="GET",route="/things/{id}",status="204"} 1`) &&
			!strings.Contains(body, "/things/17")
	}, time.Minute, time.Millisecond)
}
