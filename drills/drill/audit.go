package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/contracts"
	"waybill.example/devstack/stack"
	"waybill.example/drills/audit"
)

const (
	auditSettle  = time.Second
	auditOverdue = 15 * time.Second
)

// audit audits every shard, each with its own databases and the messages of its orders, until
// nothing moves any more, and puts the reports together.
func (r *runner) audit(ctx context.Context) error {
	s := r.environment
	state := s.stack.State()
	for n := int64(0); state.Databases[stack.Sharded(stack.Orders, int(n))] != ""; n++ {
		cfg := s.auditConfig()
		if r.drill.Shards > 0 {
			var err error
			if cfg.Shard, err = contracts.ShardNumber(n); err != nil {
				return err
			}
		}
		cfg.Databases = state.DatabasesOf(cfg.Shard)
		found, err := s.auditOnce(ctx, cfg)
		if err != nil {
			return err
		}
		r.out.Audit = r.out.Audit.And(found)
	}
	return nil
}

func (s *Environment) auditOnce(ctx context.Context, cfg audit.Config) (found audit.Report, err error) {
	auditor, err := audit.New(ctx, cfg)
	if err != nil {
		return found, err
	}
	defer auditor.Close()
	return s.settled(ctx, auditor)
}

// settled audits until nothing is too young to be judged.
func (s *Environment) settled(ctx context.Context, auditor *audit.Auditor) (audit.Report, error) {
	for until := time.Now().Add(2 * auditOverdue); ; {
		found, err := auditor.Pass(ctx)
		if err != nil {
			return found, fmt.Errorf("audit: %w", err)
		}
		if found.Open == 0 || time.Now().After(until) {
			return found, nil
		}
		if err := s.Wait(ctx, 500*time.Millisecond); err != nil {
			return found, err
		}
	}
}
