package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// standBy returns when the session has the lead.
//
// A leader that dies loses its connection, and with it the lock; the next attempt here gets it. A
// leader that is frozen (SIGSTOP, a paused machine, a network that swallows packets) keeps its
// connection. It shows by its session, which waits for a client that says nothing; then the session
// is ended for it. Should the frozen leader wake up, it finds its session gone, and its epoch is
// over: it can move the cursor no more. What it may still send are duplicates; see package publish.
//
// A standby that reaches no broker says so: it would be no help.
func (s *Source) standBy(ctx context.Context, session *source.Session, prober *publish.Prober) error {
	ticker := time.NewTicker(s.options.Election)
	defer ticker.Stop()
	watch := watch{patience: s.options.UnresponsiveAfter}
	var asked, looked time.Time
	for {
		leads, err := session.TryLead(ctx)
		if err != nil || leads {
			return err
		}
		now := time.Now()
		if now.Sub(asked) >= standbyAsks {
			asked = now
			prober.LookUp("")
		}
		if now.Sub(looked) >= s.options.UnresponsiveAfter/6 { // pg_locks has the locks of all databases of the server
			looked = now
			if err := s.lookAtLeader(ctx, session, &watch); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case a := <-prober.Answers():
			if s.status.broker(a.Err) && a.Err != nil {
				s.log.WarnContext(ctx, "no broker answers this standby", "error", a.Err)
			}
		case <-ticker.C:
		}
	}
}

// lookAtLeader ends the session of a leader that is frozen.
func (s *Source) lookAtLeader(ctx context.Context, session *source.Session, watch *watch) error {
	holder, found, err := session.Holder(ctx)
	if err != nil {
		return err
	}
	s.stand(session, holder, found)
	if !found || !watch.unresponsive(holder, time.Now()) {
		return nil
	}
	s.log.WarnContext(ctx, "the leading relay is unresponsive; taking over", "silent_for", s.options.UnresponsiveAfter)
	return session.Evict(ctx, holder)
}

// stand notes that another session leads, and says so if it is no relay: then nobody publishes.
func (s *Source) stand(session *source.Session, holder source.Holder, found bool) {
	var trouble error
	if found {
		trouble = session.Trouble(holder)
	}
	if trouble != nil && s.Status().Err == nil {
		s.log.Warn("the lead is held by a session that is no relay", "role", holder.Role, "pid", holder.PID)
	}
	s.status.set(Standby, trouble)
}

const standbyAsks = 5 * time.Second

// watch notices when a leader has stopped doing anything. It goes by this process's monotonic clock
// and by whether anything has changed, so no two clocks are compared.
type watch struct {
	patience time.Duration
	last     source.Holder
	since    time.Time
}

func (w *watch) unresponsive(holder source.Holder, now time.Time) bool {
	if holder != w.last || !holder.AwaitsClient {
		w.last, w.since = holder, now
		return false
	}
	return now.Sub(w.since) >= w.patience
}
