package httpserver

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// drain is how a server leaves a load balancer without a failed request. From the signal on it is
// not ready, and goes on serving for a while: the balancer needs a probe or two to notice, and
// until then what it sends must be answered. Each answer closes its connection, so that no request
// is on its way in one that is closed later. Only then the server stops listening.
type drain struct {
	delay time.Duration
	begun atomic.Bool
}

// begin returns when the server may stop listening.
func (d *drain) begin(log *slog.Logger) {
	d.begun.Store(true)
	if d.delay == 0 {
		return
	}
	log.Info("draining: not ready, and still serving", "delay", d.delay.String())
	<-time.After(d.delay)
}

// ready answers that the process is stopping once it is, and as next does until then.
func (d *drain) ready(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.begun.Load() {
			next(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		// The status is sent; only a client that hung up fails here.
		_ = json.NewEncoder(w).Encode(readiness{Status: notReady, Checks: map[string]string{"process": "is stopping"}})
	}
}

// closing has each answer of a server that drains close its connection.
func (d *drain) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
