package system

import (
	"context"
	"errors"
	"os"
	"time"

	"waybill/drills/bench/internal/gauge"
)

// Sample is the system at one moment.
type Sample struct {
	At          time.Time
	Pending     int64            // orders that are PENDING
	Unpublished map[string]int64 // outbox rows by database
	Usage       map[string]gauge.Usage
}

// Self is the name of the bench's own process among those of a sample.
const Self = "load"

// Usage reads what each process has used so far.
func (s *System) Usage() map[string]gauge.Usage {
	usage := map[string]gauge.Usage{}
	for _, p := range s.State().Processes {
		if p.Pid == 0 {
			continue
		}
		if u, err := gauge.Read(p.Pid); err == nil {
			usage[p.Name] = u
		}
	}
	usage[Self], _ = gauge.Read(os.Getpid())
	return usage
}

// Look takes a sample.
func (s *System) Look(ctx context.Context) (Sample, error) {
	sample := Sample{At: time.Now(), Usage: s.Usage(), Unpublished: map[string]int64{}}
	var errs []error
	var err error
	sample.Pending, err = s.Pending(ctx)
	errs = append(errs, err)
	for _, name := range s.Databases() {
		sample.Unpublished[name], err = s.Unpublished(ctx, name)
		errs = append(errs, err)
	}
	return sample, errors.Join(errs...)
}

// Backlog is what waits: rows to publish and orders to end. A system that keeps up holds it steady.
func (s Sample) Backlog() int64 {
	all := s.Pending
	for _, rows := range s.Unpublished {
		all += rows
	}
	return all
}
