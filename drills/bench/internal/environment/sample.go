package environment

import (
	"context"
	"time"

	"waybill.example/drills/bench/internal/procstat"
)

// Sample is a system at one moment.
type Sample struct {
	At          time.Time
	Pending     int64            // orders that are PENDING
	Unpublished map[string]int64 // outbox rows by database
	Usage       Usage
}

// Usage is what each process has used so far, by its name.
type Usage map[string]procstat.Usage

// Load is the name of the bench's own process.
const Load = "load"

// Usage reads what each process has used so far.
func (s *System) Usage() Usage {
	usage := Usage{Load: procstat.Self()} // the others may be its children
	for _, p := range s.Processes() {
		if u, err := procstat.Read(p.Pid); err == nil && p.Pid != 0 {
			usage[p.Name] = u
		}
	}
	return usage
}

// Look takes a sample.
func (s *System) Look(ctx context.Context) (_ Sample, err error) {
	sample := Sample{At: time.Now(), Usage: s.Usage(), Unpublished: map[string]int64{}}
	if sample.Pending, err = s.Pending(ctx); err != nil {
		return sample, err
	}
	for _, name := range s.names {
		if sample.Unpublished[name], err = s.Unpublished(ctx, name); err != nil {
			return sample, err
		}
	}
	return sample, nil
}

// Backlog is what waits: orders to end and rows to publish. A system that keeps up holds it steady.
func (s Sample) Backlog() int64 {
	all := s.Pending
	for _, rows := range s.Unpublished {
		all += rows
	}
	return all
}

// AwaitQuiescence waits until no order is PENDING and every outbox is empty, or waitTimeout is
// over, and says which.
func (s *System) AwaitQuiescence(ctx context.Context, waitTimeout time.Duration) (quiet bool, err error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(waitTimeout); time.Now().Before(deadline); {
		sample, err := s.Look(ctx)
		if err != nil || sample.Backlog() == 0 {
			return err == nil, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}
