package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/internal/setup"
)

// Reject sets one message aside for the given reason, in a transaction of its own. It is for a
// message that Apply refuses again and again although nothing is wrong with the database.
//
// Where the database refuses the dead letter for what is in it, the copy for the dead letter topic
// is reduced to where the message is in Kafka, and then left out; likewise the row. Where it
// refuses that, too, the message is recorded as dropped: it is counted, logged, and goes without a
// letter, so that it does not hold up the others.
func (p *Processor[M, S]) Reject(ctx context.Context, d Delivery, reason error) error {
	if err := p.complete(); err != nil {
		return err
	}
	var refusals []error
	for _, letter := range letterForms {
		a, err := run(ctx, func() (*attempt[M, S], error) {
			message := decoded[M]{Received: Received[M]{EventID: d.PositionID(), Delivery: d}, reason: reason}
			return &attempt[M, S]{
				Processor: p, batch: []decoded[M]{message}, positions: positionsAfter([]Delivery{d}, time.Now()), letter: letter,
			}, nil
		})
		if err == nil {
			p.rejected(ctx, a, append(refusals, reason))
			return nil
		}
		refusals = append(refusals, setup.Explain(err))
		if !refused(err) {
			break
		}
	}
	return fmt.Errorf("set %s/%d/%d aside as %s: %w", d.Topic, d.Partition, d.Offset, p.Consumer, errors.Join(refusals...))
}

func (p *Processor[M, S]) rejected(ctx context.Context, a *attempt[M, S], reasons []error) {
	if a.outcome.DeadLettered > 0 && len(a.additions) == 0 {
		a.outcome.Dropped, a.outcome.DeadLettered = a.outcome.DeadLettered, 0
		p.Health.drop()
		if d := a.batch[0]; p.Log != nil {
			p.Log.LogAttrs(ctx, slog.LevelError, "message dropped: it could not even be set aside", logged(d.Delivery, d.EventID, errors.Join(reasons...))...)
		}
	}
	p.observe(a.outcome)
}

// letterForms are the forms of a dead letter in the order in which they are tried: the row is kept
// whole for as long as the database takes it.
var letterForms = []letterForm{
	wholeLetter,
	{row: wholeLetter.row, copy: bareLetter},
	{row: wholeLetter.row},
	{row: deadletter.Message.Bare, copy: bareLetter},
	{row: deadletter.Message.Bare},
	{},
}

// refused says whether the database refused a dead letter for what it is: data exceptions (22),
// violated constraints (23) and limits of the program (54). All else may be different later.
func refused(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"22", "23", "54"}, pgErr.Code[:min(2, len(pgErr.Code))])
}
