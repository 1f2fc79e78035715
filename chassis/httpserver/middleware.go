package httpserver

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"waybill.example/chassis/logs"
	"waybill.example/chassis/problem"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/tracing"
)

// measured counts and times requests by route pattern, so that ids do not become labels. Requests
// that wait for something to happen are counted apart.
func measured(reg prometheus.Registerer) func(http.Handler) http.Handler {
	duration := promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time to answer a request.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	}, []string{"method", "route", "status"})
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(ww, r)
			route := chi.RouteContext(r.Context()).RoutePattern()
			if route == "" {
				route = "none"
			}
			if waited(ww.Header()) {
				route += " (waits)"
			}
			status := ww.Status()
			if status == 0 {
				status = http.StatusOK
			}
			telemetry.Observe(duration.WithLabelValues(method(r.Method), route, strconv.Itoa(status)),
				time.Since(began).Seconds(), tracing.Recorded(r.Context()))
		})
	}
}

// waited reports whether an answer took as long as its client wished: it says nothing about how
// fast the service is.
func waited(answer http.Header) bool {
	return answer.Get("Preference-Applied") != "" || answer.Get("Content-Type") == "text/event-stream"
}

// method keeps what a client invents from becoming a label.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// hardened has browsers neither guess what an answer is nor keep it: it may be a customer's order.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// recovered turns a panic into a 500 that tells the client nothing, and the log everything.
func recovered(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(cause)
				}
				about := context.WithValue(r.Context(), logs.SubjectKey{}, &occurrence{request: r})
				log.ErrorContext(about, "handler panicked", "cause", cause, "stack", string(debug.Stack()))
				WriteProblem(w, r, problem.Internal, "something went wrong here; it has been logged")
			}()
			next.ServeHTTP(w, r)
		})
	}
}
