package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

var notified = Drill{
	Name:    "notified",
	Promise: "what needs a person reaches the webhook, once, with the commands that repair it, though the webhook refuses and the orchestrator is killed; its end is reported too",
	For:     12 * time.Second, Within: 20 * time.Second,
	Processes: true, Notified: true,
	Break: func(ctx context.Context, s *Environment, _ time.Duration) error {
		for _, part := range []func(context.Context) error{s.notifiedOfLetters, s.notifiedOfRows, s.notifiedOfProcesses} {
			if err := part(ctx); err != nil {
				return err
			}
		}
		return s.judgeNotifications(ctx)
	},
}

// notifiedOfLetters has messages that cannot be applied, and follows what the notification says.
func (s *Environment) notifiedOfLetters(ctx context.Context) error {
	const subject = "dead letters/inventory/"
	end := s.Fault("inventory cannot write every fortieth order")
	defer end()
	began := time.Now()
	if err := s.constrain(ctx, fortiethRefused); err != nil {
		return err
	}
	needed, err := s.notified(ctx, subject, true)
	if err != nil {
		return err
	}
	s.Measured("notified of dead letters %s after their cause began, at attempt %d: %s",
		time.Since(began).Round(100*time.Millisecond), needed.attempts, needed.Data.Summary)
	if err := s.constrain(ctx, fortiethTaken); err != nil {
		return err
	}
	if err := s.nothingHeld(ctx); err != nil {
		return err
	}
	if err := s.follow(ctx, needed, "waybill dlq redrive"); err != nil {
		return err
	}
	if err := s.follow(ctx, needed, "waybill dlq redrive", "--dry-run=false"); err != nil {
		return err
	}
	_, err = s.notified(ctx, subject, false)
	return err
}

// notifiedOfRows has a row that the broker refuses, and the orchestrator killed while it is to be
// reported.
func (s *Environment) notifiedOfRows(ctx context.Context) error {
	const subject, topic = "outbox/orders", "drill-notified.v1"
	end := s.Fault("a topic is missing, and the orchestrator killed")
	defer end()
	if _, err := s.pools[stack.Orders].Exec(ctx, putRefusedSQL, topic, 1); err != nil {
		return fmt.Errorf("write a row for a topic that does not exist: %w", err)
	}
	if err := s.bounce(ctx, stack.Orchestrator, 0); err != nil {
		return err
	}
	needed, err := s.notified(ctx, subject, true)
	if err != nil {
		return err
	}
	if err := s.follow(ctx, needed, "outbox-relay stuck show"); err != nil {
		return err
	}
	if err := s.createTopic(ctx, topic, 1, nil); err != nil {
		return err
	}
	// The relay may have tried it again by itself, and then there is nothing to retry.
	if err := s.follow(ctx, needed, "outbox-relay stuck retry", "|| true"); err != nil {
		return err
	}
	if _, err = s.notified(ctx, subject, false); err != nil {
		return err
	}
	return s.forget(ctx, topic) // which the audit knows nothing of
}

// notifiedOfProcesses has a service frozen, and the relay stopped.
func (s *Environment) notifiedOfProcesses(ctx context.Context) error {
	for _, broken := range []struct {
		name, subject string
		off, on       stack.Action
	}{
		{stack.Inventory, "service/inventory", stack.Freeze, stack.Thaw},
		{stack.Relay, "relay", stack.Stop, stack.Start},
	} {
		if err := s.calm(ctx, broken.subject); err != nil { // the parts before have disturbed it, too
			return err
		}
		end := s.Fault(fmt.Sprintf("%s: %s", broken.name, broken.off))
		began := time.Now()
		err := s.Act(ctx, broken.off, broken.name)
		if err == nil {
			_, err = s.notified(ctx, broken.subject, true)
		}
		took := time.Since(began)
		if err == nil {
			err = s.Act(ctx, broken.on, broken.name)
		}
		if err == nil {
			_, err = s.notified(ctx, broken.subject, false)
		}
		end()
		if err != nil {
			return err
		}
		s.Measured("notified that %s does not answer %s after it was made to", broken.name, took.Round(100*time.Millisecond))
	}
	return nil
}

// judgeNotifications holds what came to the promise: signed, and of each cause one beginning,
// unless it grew tenfold, before its end.
func (s *Environment) judgeNotifications(ctx context.Context) error {
	err := s.Until(ctx, notifiedWithin, "the notification that was refused comes again", func(context.Context) (bool, error) {
		s.webhook.mu.Lock()
		defer s.webhook.mu.Unlock()
		return s.webhook.notices[0].attempts > 1, nil
	})
	if err != nil {
		return err
	}
	s.webhook.mu.Lock()
	defer s.webhook.mu.Unlock()
	if s.webhook.unsigned > 0 {
		s.Failed("%d requests to the webhook were no signed notifications", s.webhook.unsigned)
	}
	last := map[string]*notice{}
	for _, n := range s.webhook.notices {
		if before := last[n.Subject]; before != nil && before.needed() && n.needed() && n.Data.Count < 10*before.Data.Count {
			s.Failed("%s was reported again: %s", n.Subject, n.Data.Summary)
		}
		last[n.Subject] = n
	}
	s.Measured("%d notifications, all of them signed; the first was refused, and taken at attempt %d", len(s.webhook.notices), s.webhook.notices[0].attempts)
	return nil
}
