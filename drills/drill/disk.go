package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

// No file may grow beyond this while a disk is "full".
const fullAt = 1 << 20

// Filling a real disk needs a file system of the drill's own, and that needs root. A limit on the
// size of files makes the same system calls fail in the same places, with EFBIG in place of ENOSPC.
var diskFull = Drill{
	Name:    "disk-full",
	Promise: "first the broker's disk is full, then Postgres': what was accepted is kept, and all goes on when there is space again",
	For:     12 * time.Second, Within: 30 * time.Second,
	EmbeddedOnly: "Kafka rolls its files by itself, and would not meet the limit",
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		if !canLimitFiles {
			return fmt.Errorf("the size of another process' files can be limited on Linux only")
		}
		end := s.Fault("broker: disk full")
		err := s.fill(ctx, stack.Broker, d/2)
		end()
		if err != nil {
			return err
		}
		end = s.Outage("postgres: disk full")
		defer end()
		return s.fill(ctx, stack.Postgres, d/2)
	},
}

// fill limits the files of a process for a while. A process that has ended by itself is started
// again when there is space.
func (s *Environment) fill(ctx context.Context, name string, d time.Duration) error {
	pid, err := s.pid(name)
	if err != nil {
		return err
	}
	if err := limitFiles(pid, fullAt); err != nil {
		return fmt.Errorf("fill the disk of %s: %w", name, err)
	}
	if err := s.Wait(ctx, d); err != nil {
		return err
	}
	if now, err := s.pid(name); err != nil || now != pid {
		s.Measured("%s ended by itself when its disk was full, and was started again", name)
		return s.Act(ctx, stack.Start, name)
	}
	if err := limitFiles(pid, 0); err != nil {
		return fmt.Errorf("make room on the disk of %s: %w", name, err)
	}
	s.Measured("%s lived through its full disk", name)
	return nil
}
