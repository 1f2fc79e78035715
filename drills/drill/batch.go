package drill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"waybill.example/devstack/stack"
)

// batchSize is how many sagas the drill waits for.
const batchSize = 10_000

var batch10000 = Drill{
	Name:    "batch-10000",
	Promise: "10,000 sagas are retried with one command, through a killed orchestrator: each once, with its result, and no order pays for it",
	For:     60 * time.Second, Within: 90 * time.Second,
	Env:       map[string][]string{stack.Orchestrator: {"RESERVE_DEADLINE=15m"}},
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		end := s.Fault("inventory frozen, and the orchestrator killed in the batch")
		defer end()
		if err := s.Act(ctx, stack.Freeze, stack.Inventory); err != nil {
			return err
		}
		if err := s.pileUp(ctx, d); err != nil {
			return err
		}
		if err := s.batch(ctx); err != nil {
			return err
		}
		return s.Act(ctx, stack.Thaw, stack.Inventory)
	},
}

// pileUp waits until enough sagas wait for the inventory service, or the time is over.
func (s *Environment) pileUp(ctx context.Context, d time.Duration) error {
	const waitingSQL = `select count(*) from sagas where step = 'reserve' and deadline is not null`
	began := time.Now()
	return s.Until(ctx, d+time.Minute, "sagas to wait for inventory", func(ctx context.Context) (bool, error) {
		return s.count(ctx, s.pools["orchestrator"], waitingSQL) >= batchSize || time.Since(began) > d, nil
	})
}

// batch retries all that wait, kills the orchestrator in the middle, and judges the results.
func (s *Environment) batch(ctx context.Context) error {
	filter := []string{"saga", "batch", "retry", "--state=RUNNING", "--step=reserve", "--reason=inventory was down", "--rate=1000"}
	began := time.Now()
	out, err := s.waybill(ctx, filter...)
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(out, "\n")
	s.Measured("asked first: %s (%s)", first, time.Since(began).Round(time.Millisecond))
	if out, err = s.waybill(ctx, append(filter, "--yes")...); err != nil {
		return err
	}
	began = time.Now()
	s.Measured("%s", strings.TrimSpace(strings.SplitN(out, "\n", 2)[0]))
	db := s.pools["orchestrator"]
	const workedSQL = `select coalesce(max(done + no_effect + refused), 0) from job`
	err = s.Until(ctx, 2*time.Minute, "a part of the batch", func(ctx context.Context) (bool, error) {
		return s.count(ctx, db, workedSQL) > 500, nil
	})
	if err != nil {
		return err
	}
	if err := s.bounce(ctx, stack.Orchestrator, 0); err != nil {
		return err
	}
	s.Measured("the orchestrator was killed when %d sagas were done", s.count(ctx, db, workedSQL))
	err = s.Until(ctx, 5*time.Minute, "the batch to finish", func(ctx context.Context) (bool, error) {
		return s.count(ctx, db, `select count(*) from job where state <> 'finished'`) == 0, nil
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	total := s.count(ctx, db, `select total from job`)
	s.Measured("%d sagas in %s with the restart, %.0f per second: %d done, %d without effect, %d refused", total, took.Round(time.Second), float64(total)/took.Seconds(),
		s.count(ctx, db, `select done from job`), s.count(ctx, db, `select no_effect from job`), s.count(ctx, db, `select refused from job`))
	const unequalSQL = `
select count(*) from job_item i
  left join lateral (select count(*) from saga_transitions t where t.saga_id = split_part(i.item, '/', 2) and t.kind = 'intervened') as done (n) on true
 where done.n <> (i.result = 'done')::int`
	if wrong := s.count(ctx, db, unequalSQL); wrong > 0 {
		s.Failed("%d sagas of the batch were not retried exactly as their result says", wrong)
	}
	return nil
}

// waybill runs the command of the engineer on call.
func (s *Environment) waybill(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.workspace, "bin", "waybill"), args...)
	state := s.stack.State()
	cmd.Env = append(os.Environ(), "ORCHESTRATOR_URL=http://"+s.addr(stack.Orchestrator), "ORCHESTRATOR_TOKEN="+state.TokenFor(stack.Orchestrator),
		"INVENTORY_URL=http://"+s.addr(stack.Inventory), "INVENTORY_TOKEN="+state.TokenFor(stack.Inventory))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("waybill %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// shell runs a line as an engineer does who has read the stack's file of settings.
func (s *Environment) shell(ctx context.Context, line string) (string, error) {
	env, err := stack.WriteEnv(s.dir, s.workspace, s.stack.State())
	if err != nil {
		return "", fmt.Errorf("write the settings of the stack: %w", err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `. "$0" && `+line, env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", line, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
