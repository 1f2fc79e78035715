package httpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/problem"
)

var (
	errGone = errors.New("the parcel is gone")
	errKey  = errors.New("the key was used")
)

// failing is an API whose operations fail with err, and what it logs.
func failing(t *testing.T, err error) (http.Handler, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	server, failed := httpserver.New(httpserver.Config{Addr: "127.0.0.1:0"}, httpserver.Options{
		Title: "Parcels", Version: "1", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, failed)
	ops := httpserver.Operations{API: server.API, Log: slog.New(slog.NewTextHandler(log, nil)), Answers: []httpserver.Answer{
		{Err: errGone, Type: problem.NotFound},
		{Err: errKey, Type: problem.KeyReused, Detail: "choose another", Location: "header.Idempotency-Key"},
	}}
	type none struct{}
	type keyed struct {
		httpserver.Keyed
		Body struct {
			Weight int `json:"weight"`
		}
	}
	httpserver.Handle(ops, huma.Operation{OperationID: "get-parcel", Method: http.MethodGet, Path: "/parcel"},
		func(context.Context, *none) (*none, error) { return nil, err })
	httpserver.Handle(ops, huma.Operation{OperationID: "send-parcel", Method: http.MethodPost, Path: "/parcel"},
		func(context.Context, *keyed) (*none, error) { return nil, err })
	httpserver.Handle(ops, huma.Operation{OperationID: "drop-parcel", Method: http.MethodDelete, Path: "/parcel"},
		func(context.Context, *none) (*none, error) { return nil, err })
	return server.Router, log
}

func call(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	h.ServeHTTP(w, r)
	return w
}

func TestHandle_AnswersErrorsInOneWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		says   string
		logs   string
	}{
		"of the domain":   {fmt.Errorf("read: %w", errGone), 404, "read: the parcel is gone", ""},
		"of the request":  {errKey, 422, `"location":"header.Idempotency-Key"`, ""},
		"an answer":       {huma.Error409Conflict("too late"), 409, "too late", ""},
		"of the database": {fmt.Errorf("read: %w", &pgconn.ConnectError{}), 503, "the database does not answer; try again", "level=WARN msg=\"database is unavailable\" operation=get-parcel"},
		"of time":         {context.DeadlineExceeded, 503, "the database does not answer", "level=WARN"},
		"of the client":   {context.Canceled, 503, "cancelled", ""},
		"of a violation":  {&pgconn.PgError{Code: "23505", Message: "secret"}, 500, "something went wrong here", "level=ERROR msg=\"request failed\" operation=get-parcel"},
		"of another kind": {errors.New("secret"), 500, "something went wrong here", "level=ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, log := failing(t, tt.err)
			w := call(api, http.MethodGet, "/parcel", "")
			require.Equal(t, tt.status, w.Code, w.Body)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Equal(t, tt.status == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
			require.Contains(t, w.Body.String(), tt.says)
			require.NotContains(t, w.Body.String(), "secret")
			require.Equal(t, tt.logs == "", log.Len() == 0, log)
			require.Contains(t, log.String(), tt.logs)
		})
	}
}

// The commit of a change may have been what was not answered: what a client can do depends on
// whether there is a key.
func TestHandle_A503SaysWhatToDo(t *testing.T) {
	t.Parallel()
	api, _ := failing(t, &pgconn.ConnectError{})
	for method, advice := range map[string]string{
		http.MethodGet: "; try again", http.MethodPost: "with the same Idempotency-Key", http.MethodDelete: "look before",
	} {
		w := call(api, method, "/parcel", map[bool]string{true: `{"weight":1}`}[method == http.MethodPost])
		require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
		require.Contains(t, w.Body.String(), advice)
	}
}

func TestHandle_OperationsHaveTheSameLimits(t *testing.T) {
	t.Parallel()
	api, _ := failing(t, errGone)
	require.Equal(t, http.StatusUnprocessableEntity, call(api, http.MethodGet, "/parcel?colour=red", "").Code)
	const frame = len(`{"weight":1}`)
	pad := func(size int) string { return `{"weight":1` + strings.Repeat(" ", size-frame) + `}` }
	require.Equal(t, http.StatusNotFound, call(api, http.MethodPost, "/parcel", pad(httpserver.MaxBodyBytes)).Code)
	require.Equal(t, http.StatusRequestEntityTooLarge, call(api, http.MethodPost, "/parcel", pad(httpserver.MaxBodyBytes+1)).Code)
}

// The whole of an operation and each step of one that waits have the time of their profile.
func TestOperations_BoundStepsAsHandleDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for ops, want := range map[*httpserver.Operations]time.Duration{{}: httpserver.RequestTimeout, {Timeout: time.Minute}: time.Minute} {
			began := time.Now()
			ctx, cancel := ops.Within(t.Context())
			<-ctx.Done()
			cancel()
			require.Equal(t, want, time.Since(began))
		}
	})
}
