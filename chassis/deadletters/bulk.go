package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/httpserver"
	"waybill.example/chassis/jobs"
	"waybill.example/sdk/deadletter"
)

// adminsOnly is for what changes many at once.
func adminsOnly(change func(id, path, summary string, errs ...int) huma.Operation) func(id, path, summary string, errs ...int) huma.Operation {
	return func(id, path, summary string, errs ...int) huma.Operation {
		return admin.For(admin.Admin, change(id, path, summary, errs...))
	}
}

// The kinds of jobs. Their items are ids of dead letters.
const (
	kindRedrive = "dead-letter.redrive"
	kindDiscard = "dead-letter.discard"
)

func (s *Service) registerBulk(ops httpserver.Operations, change func(id, path, summary string, errs ...int) huma.Operation) {
	change = adminsOnly(change)
	httpserver.HandleJob(ops, change("redrive-dead-letters", "/v1/dead-letters/redrive",
		"Redrive all dead letters that a filter chooses, as a job; or say what that would be"),
		func(ctx context.Context, in *deadLetterBulkInput) (*deadLetterBulkOutput, error) {
			return s.bulk(ctx, kindRedrive, in)
		})
	httpserver.HandleJob(ops, change("discard-dead-letters", "/v1/dead-letters/discard",
		"Discard all dead letters that a filter chooses, as a job; or say what that would be"),
		func(ctx context.Context, in *deadLetterBulkInput) (*deadLetterBulkOutput, error) {
			return s.bulk(ctx, kindDiscard, in)
		})
}

type deadLetterBulkInput struct {
	Filter
	Body struct {
		Reason httpserver.Reason `json:"reason" minLength:"1" maxLength:"500" doc:"Why; kept in the audit log"`
		Rate   float64           `json:"rate,omitempty" minimum:"0.01" maximum:"1000" default:"50" doc:"Dead letters per second, at most"`
		DryRun bool              `json:"dryRun,omitempty" doc:"Only say what it would be"`
	}
}

type deadLetterBulkOutput struct {
	Status int
	Body   DeadLetterBulk
}

// DeadLetterBulk is what was, or would be, done.
type DeadLetterBulk struct {
	Count   int          `json:"count" doc:"Dead letters that the filter chooses"`
	Waiting int64        `json:"waiting" doc:"Messages that are parked behind them"`
	Handled int          `json:"handled" doc:"Of the sample: those that have been handled already, so that a redrive is a duplicate"`
	Sample  []DeadLetter `json:"sample" nullable:"false" doc:"The first of them, in the order in which they are taken; 20 at most"`
	Job     *jobs.Job    `json:"job,omitempty" doc:"What does it; absent in a dry run, and where there is nothing to do"`
}

const (
	listed  = 1000 // that are read at a time
	sampled = 20
)

// choose returns the dead letters of a filter, the oldest first: the order of their queues.
func (s *Service) choose(ctx context.Context, f deadletter.Filter) ([]deadletter.Letter, error) {
	if f.State == "" {
		f.State = deadletter.Dead // what is parked follows
	}
	var all []deadletter.Letter
	for page := (deadletter.Page{Limit: listed}); ; {
		found, err := s.store.List(ctx, f, page)
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Payload, found[i].Headers = nil, nil
		}
		all = append(all, found...)
		if len(found) < listed || len(all) >= jobs.MaxItems {
			break
		}
		page.BeforeID = found[len(found)-1].ID
	}
	slices.SortFunc(all, func(a, b deadletter.Letter) int { return int(a.Place - b.Place) })
	return all[:min(len(all), jobs.MaxItems)], nil
}

func (s *Service) bulk(ctx context.Context, kind string, in *deadLetterBulkInput) (*deadLetterBulkOutput, error) {
	filter, err := s.filter(ctx, in.Filter)
	if err != nil {
		return nil, err
	}
	chosen, err := s.choose(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := &deadLetterBulkOutput{Status: http.StatusOK}
	if out.Body, err = s.preview(ctx, filter, chosen); err != nil || in.Body.DryRun || len(chosen) == 0 {
		return out, err
	}
	items := make([]string, len(chosen))
	for i, l := range chosen {
		items[i] = strconv.FormatInt(l.ID, 10)
	}
	err = pgx.BeginFunc(ctx, s.DB, func(tx pgx.Tx) error {
		job, err := s.Jobs.Create(ctx, tx, jobs.Spec{
			Kind: kind, Parameters: map[string]string{"client": admin.Client(ctx)}, Actor: admin.Actor(ctx),
			Reason: string(in.Body.Reason), Rate: in.Body.Rate, Items: items,
		})
		out.Body.Job = &job
		return err
	})
	out.Status = http.StatusAccepted
	return out, err
}

func (s *Service) preview(ctx context.Context, f deadletter.Filter, chosen []deadletter.Letter) (DeadLetterBulk, error) {
	b := DeadLetterBulk{Count: len(chosen), Sample: make([]DeadLetter, 0, sampled)}
	groups, err := s.store.Groups(ctx, f, listed)
	if err != nil {
		return b, err
	}
	for _, g := range groups {
		b.Waiting += g.Waiting
	}
	for _, l := range chosen[:min(len(chosen), sampled)] {
		handled, err := s.store.HandledBy(ctx, l)
		if err != nil {
			return b, err
		}
		if len(handled) > 0 {
			b.Handled++
		}
		b.Sample = append(b.Sample, s.letter(ctx, l))
	}
	return b, nil
}

func (s *Service) redriveItem(ctx context.Context, tx pgx.Tx, job jobs.Job, item string) (jobs.Result, error) {
	return s.item(ctx, tx, job, item, deadletter.Redrive, deadletter.RedriveIn)
}

func (s *Service) discardItem(ctx context.Context, tx pgx.Tx, job jobs.Job, item string) (jobs.Result, error) {
	return s.item(ctx, tx, job, item, deadletter.Discard, deadletter.DiscardIn)
}

// item does one dead letter of a job. Its queue is worked off once that is committed.
func (s *Service) item(
	ctx context.Context, tx pgx.Tx, job jobs.Job, item string, action deadletter.Action,
	do func(context.Context, pgx.Tx, int64, deadletter.Change) (deadletter.Letter, error),
) (jobs.Result, error) {
	id, err := strconv.ParseInt(item, 10, 64)
	if err != nil {
		return jobs.Result{Outcome: jobs.OutcomeRefused, Detail: "is not the id of a dead letter"}, nil //nolint:nilerr // it is the item's
	}
	var from struct{ Client string }
	_ = json.Unmarshal(job.Parameters, &from) // what it was made with; without, nothing is known of it
	l, err := do(ctx, tx, id, operator{job.Actor, from.Client, job.Reason}.change(action, 0))
	if state, ok := errors.AsType[*deadletter.StateError](err); ok {
		return jobs.Result{Outcome: jobs.OutcomeNoEffect, Detail: state.Error()}, nil
	}
	if first, ok := errors.AsType[*deadletter.FirstError](err); ok {
		return jobs.Result{Outcome: jobs.OutcomeRefused, Detail: first.Error()}, nil
	}
	if errors.Is(err, deadletter.ErrNotWhole) || errors.Is(err, deadletter.ErrNotFound) {
		return jobs.Result{Outcome: jobs.OutcomeRefused, Detail: err.Error()}, nil
	}
	if err != nil {
		return jobs.Result{}, err
	}
	detail := "is applied next: waybill dlq show has what comes of it"
	if action == deadletter.Discard {
		detail = "was discarded"
	}
	return jobs.Result{
		Outcome: jobs.OutcomeDone, Detail: detail,
		Committed: func() { s.work(context.WithoutCancel(ctx), l) },
	}, nil
}
