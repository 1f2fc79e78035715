package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/outbox"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Preview is what an intervention would lead to.
type Preview struct {
	// Outcome is what would come of it now: Done stands for what would be done.
	Outcome

	// Messages are those that would be sent, exactly: their ids have the time of the preview.
	Messages []outbox.Message
	// Local are the commands that would be carried out here. What their replies lead to is not
	// looked at.
	Local []saga.Command
	// Then are the futures that could follow, and Truncated says that there are more.
	Then      []saga.Future
	Truncated bool
}

// Preview says what an intervention would lead to if it were made now, and what could follow, up to
// depth messages or deadlines further ([saga.MaxPreviewDepth] at most). It reads the saga and
// writes nothing.
func (r *Runner) Preview(ctx context.Context, in Intervention, depth int) (Preview, error) {
	var reads pgx.Batch
	loaded := r.store.Load(&reads, []string{in.Saga.ID})
	if err := r.operators.SendBatch(ctx, &reads).Close(); err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	state, err := store.Only(loaded[in.Saga.ID], in.Saga)
	if err != nil {
		return Preview{Outcome: refused(state, err)}, nil
	}
	p, err := r.registry.Preview(state, in.Do, r.store.Now(), depth)
	if err != nil {
		return Preview{Outcome: refused(state, err)}, nil
	}
	out := Preview{Outcome: Outcome{Result: Done, Before: state, After: state}, Then: p.Then, Truncated: p.Truncated}
	var faults []error
	for _, d := range p.Decisions {
		out.After, out.Transitions = d.State, append(out.Transitions, d.Transition)
		for _, c := range d.Commands {
			if r.local[c.Type] != nil {
				out.Local = append(out.Local, c)
				continue
			}
			m, err := r.codec.Encode(state.Ref(), c)
			out.Messages, faults = append(out.Messages, m), append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return Preview{Outcome: refused(state, err)}, nil
	}
	return out, nil
}
