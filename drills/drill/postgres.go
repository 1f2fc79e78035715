package drill

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"waybill.example/devstack/stack"
)

var postgresRestart = Drill{
	Name:    "postgres-restart",
	Promise: "Postgres is shut down in immediate mode and recovers: nothing committed is lost, a POST fails only while it is down",
	For:     9 * time.Second, Brief: 3 * time.Second,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		for until := time.Now().Add(d); time.Now().Before(until); {
			end := s.Outage("postgres restarted, immediate mode")
			err := s.restartPostgres(ctx)
			end()
			if err != nil {
				return err
			}
			if err := s.Wait(ctx, 3*time.Second); err != nil {
				return err
			}
		}
		return nil
	},
}

// restartPostgres ends the server with SIGQUIT: it drops everything, as in a crash, and recovers
// from its log when it starts again.
func (s *Environment) restartPostgres(ctx context.Context) error {
	pid, err := s.pid(stack.Postgres)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("shut Postgres down: %w", err)
	}
	if err := s.Until(ctx, 20*time.Second, "Postgres has ended", func(context.Context) (bool, error) {
		p, _ := s.stack.State().Process(stack.Postgres)
		return p.Pid != pid, nil
	}); err != nil {
		return err
	}
	return s.Act(ctx, stack.Start, stack.Postgres)
}

var postgresDown = Drill{
	Name:    "postgres-down",
	Promise: "Postgres is down: a POST is answered 503 within 2 s, and every order that was taken ends once it is back",
	For:     12 * time.Second,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Outage("postgres down")
		defer end()
		if err := s.Act(ctx, stack.Stop, stack.Postgres); err != nil {
			return err
		}
		if err := s.Wait(ctx, d); err != nil {
			return err
		}
		return s.Act(ctx, stack.Start, stack.Postgres)
	},
}
