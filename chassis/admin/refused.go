package admin

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Observed returns the tokens with refusals counted, and logged once per second at most: who
// guesses tokens must not fill the log.
func (t Tokens) Observed(log *slog.Logger, reg prometheus.Registerer) Tokens {
	t.refused = &refused{log: log, total: promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "waybill_admin_refused_total",
		Help: "Requests that need a token and have none, a wrong one, or come from an address that sent too many wrong ones.",
	})}
	return t
}

// refused reports requests without a token that is known.
type refused struct {
	log   *slog.Logger
	total prometheus.Counter

	mu     sync.Mutex
	logged time.Time
	since  int // refusals that no line has named yet
}

func (r *refused) record(ctx huma.Context) {
	if r == nil {
		return
	}
	r.total.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since++
	if now := time.Now(); now.Sub(r.logged) >= time.Second {
		host, _, _ := net.SplitHostPort(ctx.RemoteAddr()) // empty where it is none
		r.log.Warn("refused a change without a known token", "client", host, "operation", ctx.Operation().OperationID, "refused", r.since)
		r.logged, r.since = now, 0
	}
}
