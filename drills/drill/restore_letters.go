package drill

import (
	"context"
	"fmt"
	"time"

	"waybill.example/devstack/stack"
)

var restoreDeadLetters = Drill{
	Name:    "restore-dead-letters",
	Promise: "Inventory's database, taken back to when it held dead letters that were redriven since, holds them again, and what waits behind them: redriven once more, all take effect once, in order",
	For:     8 * time.Second, Within: 30 * time.Second,
	Env:       redriveInOrder.Env,
	Processes: true,
	Break: func(ctx context.Context, s *Environment, d time.Duration) error {
		if err := s.loseARedrive(ctx, d); err != nil {
			return err
		}
		// The backup has the cause, too.
		if err := s.constrain(ctx, fortiethTaken); err != nil {
			return err
		}
		if err := s.nothingHeld(ctx); err != nil {
			return err
		}
		if err := s.redriveAll(ctx, restoredRate, false); err != nil {
			return err
		}
		return s.judgeRedrive(ctx)
	},
}

// restoredRate lets a redrive take a second or two.
const restoredRate = 200

// loseARedrive takes Inventory's database back to a moment at which it had dead letters. Since then
// more have come, and all of them have been redriven, and answered.
func (s *Environment) loseARedrive(ctx context.Context, d time.Duration) error {
	end := s.Fault("inventory cannot write every fortieth order")
	defer end()
	db := s.pools[stack.Inventory]
	if err := s.constrain(ctx, fortiethRefused); err != nil {
		return err
	}
	if err := s.Wait(ctx, d); err != nil {
		return err
	}
	moment, err := s.backUp(ctx)
	if err != nil {
		return err
	}
	if err := s.Wait(ctx, d/2); err != nil {
		return err
	}
	if err := s.constrain(ctx, fortiethTaken); err != nil {
		return err
	}
	if err := s.nothingHeld(ctx); err != nil {
		return err
	}
	if err := s.redriveAll(ctx, restoredRate, false); err != nil {
		return fmt.Errorf("before the restore: %w", err)
	}
	redriven := s.count(ctx, db, `select count(*) from dead_letters where state = 'redriven'`)
	endRestore := s.Fault("inventory restored")
	defer endRestore()
	if err := s.putBack(ctx, moment, stack.Inventory); err != nil {
		return err
	}
	var dead, parked int64
	err = s.Until(ctx, time.Minute, "the restored database answers", func(ctx context.Context) (bool, error) {
		dead, parked = s.count(ctx, db, deadSQL), s.count(ctx, db, behindSQL)
		return dead != unknown && parked != unknown, nil
	})
	if err != nil {
		return err
	}
	if again := s.count(ctx, db, `select count(*) from dead_letters where state not in ('dead', 'parked')`); again != 0 {
		s.Failed("%d dead letters of the backup are closed: nothing was lost that would have to be done again", again)
	}
	s.Measured("the restore lost %d redrives; %d messages were dead again at once, and %d waited behind them", redriven, dead, parked)
	return nil
}
