package source_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/apiclient"
	"waybill.example/orchestrator/console/internal/session"
	"waybill.example/orchestrator/console/internal/source"
)

type answer struct{ N int64 }

// relay is a service that counts, and can be down.
type relay struct {
	*httptest.Server
	asked atomic.Int64
	down  atomic.Bool
	auth  atomic.Value
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	r := &relay{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n := r.asked.Add(1)
		r.auth.Store(req.Header.Get("Authorization"))
		switch {
		case r.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case req.URL.Path == "/none":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"there is no such row"}`)
		default:
			fmt.Fprintf(w, `{"n":%d}`, n)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *relay) sources(readToken string) *source.Sources {
	return source.New(source.Config{API: http.NotFoundHandler(), Relay: source.Service{URL: r.URL, ReadToken: readToken}})
}

// Fifty pages that look at once cost what one costs.
func TestGet_ManyReadersShareOneRequest(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	s := r.sources("")
	var reading sync.WaitGroup
	for range 50 {
		reading.Go(func() {
			_, err := source.Get[answer](t.Context(), s.Relay, "/v1/outbox")
			require.NoError(t, err)
		})
	}
	reading.Wait()
	require.LessOrEqual(t, r.asked.Load(), int64(2), "a second one only where the first was a second ago")
	s.Forget()
	before := r.asked.Load()
	_, err := source.Get[answer](t.Context(), s.Relay, "/v1/outbox")
	require.NoError(t, err)
	require.Equal(t, before+1, r.asked.Load(), "after a change everything is asked for again")
}

// A service that becomes unavailable is shown as it was, and the page says so.
func TestGet_ShowsWhatWasLastKnown(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	s := r.sources("")
	first, err := source.Get[answer](t.Context(), s.Relay, "/v1/outbox")
	require.NoError(t, err)

	r.down.Store(true)
	s.Forget()
	ctx, notes := source.Collect(t.Context())
	again, err := source.Get[answer](ctx, s.Relay, "/v1/outbox")
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Len(t, notes.All(), 1)
	require.True(t, notes.All()[0].Stale)
	require.Contains(t, notes.All()[0].Problem, "503")

	_, err = source.Get[answer](ctx, s.Relay, "/v1/never-read")
	require.Error(t, err)

	r.Close()
	s.Forget()
	ctx, notes = source.Collect(t.Context())
	_, err = source.Get[answer](ctx, s.Relay, "/v1/outbox")
	require.NoError(t, err)
	require.Contains(t, notes.All()[0].Problem, "no relay answers at")
}

// That there is no such thing says nothing against the service, and is not held against the page.
func TestGet_NotFoundIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := newRelay(t).sources("")
	ctx, notes := source.Collect(t.Context())
	_, err := source.Get[answer](ctx, s.Relay, "/none")
	require.True(t, apiclient.NotFound(err))
	require.Empty(t, notes.All()[0].Problem)
	_, err = source.Get[answer](ctx, nil, "/v1/outbox")
	require.ErrorIs(t, err, source.NotConfigured{})
}

// Reads are made with the orchestrator's token, and changes with that of the operator.
func TestClient_ShowsTheRightToken(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	ctx := session.With(t.Context(), session.Session{Holder: admin.Holder{Name: "olga", Role: admin.Operator}, Token: "of-olga"})
	s := r.sources("of-the-orchestrator")
	_, err := source.Get[answer](ctx, s.Relay, "/v1/outbox")
	require.NoError(t, err)
	require.Equal(t, "Bearer of-the-orchestrator", r.auth.Load())
	_, err = s.Relay.Do(ctx, apiclient.Request{Method: http.MethodPost, Path: "/v1/retry"})
	require.NoError(t, err)
	require.Equal(t, "Bearer of-olga", r.auth.Load())

	_, err = source.Get[answer](ctx, r.sources("").Relay, "/v1/outbox")
	require.NoError(t, err)
	require.Equal(t, "Bearer of-olga", r.auth.Load(), "where the orchestrator has none")
}

// The orchestrator's own API is asked in this process, also from a request that its router serves.
func TestClient_AsksTheOrchestratorInProcess(t *testing.T) {
	t.Parallel()
	api := chi.NewRouter()
	api.Get("/v1/thing", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"n":7}`) })
	api.Get("/v1/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := source.New(source.Config{API: api})
	api.NotFound(func(w http.ResponseWriter, r *http.Request) {
		got, err := source.Get[answer](r.Context(), s.Orchestrator, "/v1/thing")
		fmt.Fprint(w, got.N, err)
	})
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/page", nil))
	require.Equal(t, "7 <nil>", w.Body.String())

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := source.Get[answer](ctx, s.Orchestrator, "/v1/slow")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A service takes its time to say how it is. No page waits for that.
func TestSources_HealthDoesNotWait(t *testing.T) {
	t.Parallel()
	answer, asked := make(chan struct{}), make(chan struct{}, 100)
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		fmt.Fprint(w, `{"status":"ready","checks":{}}`)
	})
	s := source.New(source.Config{API: slow})
	require.True(t, s.Health(t.Context())[0].Asked)
	require.True(t, s.Health(t.Context())[0].Asked)
	require.Len(t, asked, 1, "both wait for one answer")
	close(answer)
	require.Eventually(t, func() bool { return s.Health(t.Context())[0].Ready }, 30*time.Second, time.Millisecond)
}

func TestSources_HealthSaysWhatEachServiceSays(t *testing.T) {
	t.Parallel()
	unready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"not ready","checks":{"kafka":"ok","postgres":"no connection"}}`)
	}))
	t.Cleanup(unready.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	ready := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"ready","checks":{"postgres":"ok"}}`)
	})
	sources := source.New(source.Config{API: ready, Orders: source.Service{URL: unready.URL}, Relay: source.Service{URL: gone.URL}})
	var health []source.Health
	require.Eventually(t, func() bool {
		health = sources.Health(t.Context())
		return !slices.ContainsFunc(health, func(h source.Health) bool { return h.Asked })
	}, 30*time.Second, time.Millisecond)
	require.Len(t, health, 3)
	require.Equal(t, source.Health{Service: "orchestrator", Ready: true, Checks: []source.Check{{Name: "postgres"}}}, health[0])
	require.Equal(t, source.Health{Service: "orders", Checks: []source.Check{{Name: "kafka"}, {Name: "postgres", Problem: "no connection"}}}, health[1])
	require.Contains(t, health[2].Silent, "no relay answers")
}
