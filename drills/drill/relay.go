package drill

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"waybill.example/devstack/stack"
)

var relayCrash = Drill{
	Name:    "relay-crash",
	Promise: "the relay dies again and again between the broker's ack and its cursor's update: nothing is lost or out of order",
	For:     15 * time.Second, Brief: 6 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("relay killed again and again")
		defer end()
		kills := 0
		for until := time.Now().Add(d); time.Now().Before(until); kills++ {
			if err := s.Act(ctx, stack.Kill, stack.Relay); err != nil {
				return err
			}
			if err := s.Act(ctx, stack.Start, stack.Relay); err != nil {
				return err
			}
			// It publishes what has gathered in its first moments: that is when it dies.
			if err := s.Wait(ctx, time.Duration(s.Random.Int64N(int64(300*time.Millisecond)))); err != nil {
				return err
			}
		}
		s.Measured("the relay was killed %d times", kills)
		return nil
	},
}

// takeoverWithin is how soon a standby has to lead after its leader died.
const takeoverWithin = 2 * time.Second

var relayFailover = Drill{
	Name:      "relay-failover",
	Promise:   "a standby relay leads within 2 s of the leader's death; nothing is lost or out of order",
	For:       20 * time.Second,
	Processes: true,
	Prepare: func(ctx context.Context, s *Environment) error {
		_, err := s.Spawn(ctx, stack.Relay)
		return err
	},
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		round := d / 4
		for range 2 {
			took, err := s.takeover(ctx, "leading relay killed", s.firstRelay, func() error { return s.Act(ctx, stack.Kill, stack.Relay) })
			if err != nil {
				return err
			}
			s.Measured("the standby led %s after its leader was killed", took.Round(time.Millisecond))
			if took > takeoverWithin {
				s.Failed("a standby relay led only %s after its leader was killed", took.Round(time.Millisecond))
			}
			// The killed one comes back as the standby; killing the other makes it lead again.
			if err := s.Act(ctx, stack.Start, stack.Relay); err != nil {
				return err
			}
			if err := s.Wait(ctx, round/2); err != nil {
				return err
			}
			if _, err := s.takeover(ctx, "leading relay stopped", s.secondRelay, func() error { return s.replaceSecondRelay(ctx) }); err != nil {
				return err
			}
			if err := s.Wait(ctx, round/2); err != nil {
				return err
			}
		}
		took, err := s.takeover(ctx, "leading relay frozen", s.firstRelay, func() error { return s.Act(ctx, stack.Freeze, stack.Relay) })
		if err != nil {
			return err
		}
		s.Measured("the standby led %s after its leader was frozen", took.Round(time.Millisecond))
		if err := s.Wait(ctx, round); err != nil {
			return err
		}
		return s.Act(ctx, stack.Thaw, stack.Relay)
	},
}

// replaceSecondRelay stops the relay that the drill has started beside the stack's own, and starts
// another in its place.
func (s *Environment) replaceSecondRelay(ctx context.Context) error {
	if err := s.instance(stack.Relay).Stop(ctx); err != nil {
		return err
	}
	_, err := s.Spawn(ctx, stack.Relay)
	return err
}

// firstRelay and secondRelay return the process ids of the stack's relay and of the drill's own.
func (s *Environment) firstRelay() (int, error)  { return s.pid(stack.Relay) }
func (s *Environment) secondRelay() (int, error) { return s.instance(stack.Relay).Pid(), nil }

// The leader's name ends in its process id.
const ledSQL = `select count(*) from outbox_cursor where leader like '%-' || $1::text`

// takeover does something to a relay and measures how long it takes until each database that it led
// has another leader. On a busy machine the two may have shared the databases.
func (s *Environment) takeover(ctx context.Context, label string, relay func() (int, error), do func() error) (time.Duration, error) {
	pid, err := relay()
	if err != nil {
		return 0, err
	}
	end := s.Fault(label)
	defer end()
	began := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	err = s.Until(ctx, time.Minute, "another relay leads", func(ctx context.Context) (bool, error) {
		for _, pool := range s.pools {
			if s.count(ctx, pool, ledSQL, strconv.Itoa(pid)) != 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", label, err)
	}
	return time.Since(began), nil
}
