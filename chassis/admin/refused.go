package admin

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Observed returns the tokens with refusals counted, and logged once per second at most: who
// guesses tokens must not fill the log. It holds for all that were made from the same tokens, and
// for what is made from these.
func (t Tokens) Observed(log *slog.Logger, reg prometheus.Registerer) Tokens {
	if t.refused == nil {
		t.refused = &refused{}
	}
	t.refused.observe(log, promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "waybill_admin_refused_total",
		Help: "Requests that need a token and have none, a wrong one, or come from an address that sent too many wrong ones.",
	}))
	return t
}

// refused reports requests without a token that is known.
type refused struct {
	mu     sync.Mutex
	log    *slog.Logger // nil: nothing is reported
	total  prometheus.Counter
	logged time.Time
	since  int // refusals that no line has named yet
}

// observe says where to report.
func (r *refused) observe(log *slog.Logger, total prometheus.Counter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log, r.total = log, total
}

// record reports a refusal of an operation to a remote host:port.
func (r *refused) record(remote, operation string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		return
	}
	r.total.Inc()
	r.since++
	if now := time.Now(); now.Sub(r.logged) >= time.Second {
		host, _, _ := net.SplitHostPort(remote) // empty where it is none
		r.log.Warn("refused a change without a known token", "client", host, "operation", operation, "refused", r.since)
		r.logged, r.since = now, 0
	}
}

// reread reports that a file of tokens has changed.
func (r *refused) reread(setting string, tokens int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log != nil {
		r.log.Info("tokens were read again", "setting", setting, "tokens", tokens)
	}
}

// unreadable reports that one has changed to something that is none.
func (r *refused) unreadable(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log != nil {
		r.log.Warn("tokens cannot be read again, and those of before hold", "error", err)
	}
}
