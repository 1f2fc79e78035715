// Package notify notifies a webhook when something needs a person, and when it no longer does: in
// explain's words, with the commands to run, and once per cause however many sagas or rows have it.
//
//	condition.go  what needs a person, and the pure decision what to report of it
//	find.go       where conditions are found: the sagas, the relay, the services
//	store.go      episodes, and the outbox of notifications
//	webhook.go    one delivery: a signed CloudEvent
//	notify.go     the loop
//	api.go        what operators see of it over HTTP
//
// Several orchestrators share the work: one of them looks in each interval, and each sends what is
// due. Delivery is at least once; receivers know a notification again by its webhook-id.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// SchemaVersion is the version of the migration set "orchestrator" that this package needs.
const SchemaVersion = 8

// Options are what a Notifier needs.
type Options struct {
	DB      *pgxpool.Pool
	Find    Finder
	Webhook *Webhook
	// Every is how often it looks. After is how long a condition has to last before it is reported,
	// unless the condition says that it does not pass by itself.
	Every, After time.Duration
	Log          *slog.Logger
	Metrics      prometheus.Registerer
}

// Finder returns the conditions that there are now, and the sources that could be asked: what was
// not asked has not ended.
type Finder func(context.Context) (conditions []Condition, asked []string)

// Notifier finds what needs a person, and tells it.
type Notifier struct {
	Options
	store store
	sent  *prometheus.CounterVec
}

// New returns a Notifier, which does nothing until it runs.
func New(o Options) *Notifier {
	n := &Notifier{Options: o, store: store{o.DB}}
	n.sent = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "waybill_notifications_total", Help: "Attempts to tell the webhook, by outcome: sent, failed or given_up.",
	}, []string{"outcome"})
	o.Metrics.MustRegister(n.sent)
	return n
}

// Run looks and sends until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	ticker := time.NewTicker(n.Every)
	defer ticker.Stop()
	for {
		if err := errors.Join(n.look(ctx), n.send(ctx)); err != nil && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "notifications wait", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look records what has begun, grown or ended since the last time.
func (n *Notifier) look(ctx context.Context) error {
	mine, err := n.store.claimPass(ctx, n.Every)
	if err != nil || !mine {
		return err
	}
	conditions, asked := n.Find(ctx)
	return n.store.record(ctx, func(open []Episode, now time.Time) ([]Episode, []Notification) {
		return decide(open, conditions, asked, now, n.After)
	})
}

// send sends what is due, one after the other, until one is not taken: a webhook that hangs must
// not keep the notifier from looking. What is left is tried at the next turn.
func (n *Notifier) send(ctx context.Context) error {
	for ctx.Err() == nil {
		due, err := n.store.claimDue(ctx)
		if err != nil || due == nil {
			return err
		}
		sendErr := n.Webhook.Send(ctx, due.ID, due.Event)
		outcome := "sent"
		switch {
		case sendErr == nil:
		case due.givenUp():
			outcome = "given_up"
			n.Log.ErrorContext(ctx, "notification given up", "notification", due.ID, "subject", due.Subject, "attempts", due.Attempts, "error", sendErr)
		default:
			outcome = "failed"
			n.Log.WarnContext(ctx, "notification not taken", "notification", due.ID, "subject", due.Subject, "attempts", due.Attempts, "error", sendErr)
		}
		n.sent.WithLabelValues(outcome).Inc()
		if err := n.store.settle(ctx, due, sendErr); err != nil || sendErr != nil {
			return err
		}
	}
	return nil
}
