package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Deadline is one thing that a saga waits for.
type Deadline struct {
	Saga       string    `json:"saga"`
	Definition string    `json:"definition"`
	State      string    `json:"state"`
	Step       string    `json:"step"`
	Undo       bool      `json:"undo,omitzero" doc:"True where the step is being taken back"`
	Attempts   int       `json:"attempts" doc:"Commands sent for it"`
	DueAt      time.Time `json:"dueAt"`
}

const deadlinesSQL = `
select d.saga_id, d.definition, s.version, d.state, d.step_index, d.undo, d.attempts, d.due_at
from sagas s join saga_deadlines d on d.saga_id = s.id and d.definition = s.definition
where s.wake_at < $1 and s.deadline < $1 and d.due_at < $1
order by s.deadline, d.due_at limit $2`

// Deadlines lists deadlines that come before a time, the earliest first.
func (i *Inspector) Deadlines(ctx context.Context, before time.Time, limit int) ([]Deadline, error) {
	rows, err := i.db.Query(ctx, deadlinesSQL, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Deadline, error) {
		var d Deadline
		var version, step int
		err := r.Scan(&d.Saga, &d.Definition, &version, &d.State, &step, &d.Undo, &d.Attempts, &d.DueAt)
		d.Step = fmt.Sprintf("step %d", step+1)
		if def, ok := i.registry.Definition(d.Definition, version); ok && step < len(def.StepNames()) {
			d.Step = def.StepNames()[step]
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list deadlines: %w", err)
	}
	return list, nil
}
