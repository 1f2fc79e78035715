package drill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"waybill.example/drills/audit"
)

// auditConfig is what an operator of the stack would say, and what the drill's own doings make
// expected.
func (s *Environment) auditConfig() audit.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.audit
	cfg.Databases, cfg.Brokers, cfg.Ledger = s.stack.State().Databases, strings.Split(s.brokers(), ","), s.ledgerPath()
	cfg.Limits = audit.Limits{Settle: auditSettle, Overdue: auditOverdue}
	return cfg
}

// followPlan runs what the plan of an audit says. It returns how many commands that were.
func (s *Environment) followPlan(ctx context.Context, audited func(context.Context, *audit.Auditor) (audit.Report, error)) (commands int, err error) {
	auditor, err := audit.New(ctx, s.auditConfig())
	if err != nil {
		return 0, err
	}
	defer auditor.Close()
	found, err := audited(ctx, auditor)
	if err != nil {
		return 0, err
	}
	plan := found.Plan()
	commands = plan.Commands()
	if commands == 0 {
		return 0, nil
	}
	var script strings.Builder
	plan.Write(&script)
	path := filepath.Join(s.dir, "repair.sh")
	if err := os.WriteFile(path, []byte(script.String()), 0o600); err != nil {
		return 0, fmt.Errorf("write the plan: %w", err)
	}
	for _, step := range plan.Steps {
		s.Measured("the plan: %s: %d commands, of %s", step.Check, len(step.Commands), step.Why)
	}
	_, err = s.shell(ctx, fmt.Sprintf("cd %q && sh -e %q", s.workspace, path))
	return commands, err
}

// now audits once: what waits for a service that is down never settles.
func now(ctx context.Context, auditor *audit.Auditor) (audit.Report, error) {
	found, err := auditor.Pass(ctx)
	if err != nil {
		return found, fmt.Errorf("audit: %w", err)
	}
	return found, nil
}

// repairs is how often the audit may have to be asked for a plan: what one repairs may bring up
// what was behind it.
const repairs = 3

// repair follows the audit's plans until there is nothing left to run.
func (r *runner) repair(ctx context.Context) error {
	for range repairs {
		commands, err := r.environment.followPlan(ctx, r.environment.settled)
		if err != nil || commands == 0 {
			return err
		}
		if err := r.awaitQuiescence(ctx); err != nil {
			return err
		}
	}
	return nil
}
