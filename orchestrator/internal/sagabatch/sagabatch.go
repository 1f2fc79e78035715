// Package sagabatch intervenes in many sagas at once: an operator's request and a filter become a
// job (chassis/jobs) with one item for each saga that the filter chose. At its turn a saga is
// judged again: one that the filter would not choose any more is left alone, with the reason. The
// intervention, its entry in the audit log and the item's result are one transaction.
package sagabatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/chassis/auditlog"
	"waybill.example/chassis/jobs"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/inspect"
	"waybill.example/sdk/saga/runner/store"
)

// kindPrefix and the action are the kind of a job: saga.retry.
const kindPrefix = "saga."

// Filter chooses sagas, in JSON. What is left out chooses all.
type Filter struct {
	State      string            `json:"state,omitempty"`
	Definition string            `json:"definition,omitempty"`
	Version    int               `json:"version,omitempty"`
	Step       string            `json:"step,omitempty"`
	Attempt    int               `json:"attempt,omitempty"`
	OlderThan  string            `json:"olderThan,omitempty"` // a duration
	Overdue    bool              `json:"overdue,omitempty"`
	Stuck      bool              `json:"stuck,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Sagas      []string          `json:"sagas,omitempty"` // definition/id
}

// ErrFilter is wrapped by the errors of a filter that is refused.
var ErrFilter = errors.New("invalid filter")

// inspect returns the filter as the inspector takes it.
func (f Filter) inspect() (inspect.Filter, error) {
	found := inspect.Filter{
		State: strings.ToUpper(f.State), Definition: f.Definition, Version: f.Version, Step: f.Step,
		Attempt: f.Attempt, Overdue: f.Overdue, Stuck: f.Stuck, Attributes: f.Attributes,
	}
	for _, name := range f.Sagas {
		found.Refs = append(found.Refs, ref(name))
	}
	if all := len(f.Attributes)+len(f.Sagas) == 0; all && reflect.DeepEqual(f, Filter{Attributes: f.Attributes, Sagas: f.Sagas}) {
		return found, fmt.Errorf("%w: it chooses every saga; say at least one condition", ErrFilter)
	}
	if f.OlderThan == "" {
		return found, nil
	}
	var err error
	if found.OlderThan, err = time.ParseDuration(f.OlderThan); err != nil || found.OlderThan <= 0 {
		return found, fmt.Errorf("%w: olderThan must be a duration such as 90s or 2h", ErrFilter)
	}
	return found, nil
}

// Spec is what is to be done to which sagas: the parameters of a job.
type Spec struct {
	Filter       Filter       `json:"filter"`
	Intervention saga.Request `json:"intervention"`
}

// Batches creates the jobs and carries them out. It is safe for concurrent use.
type Batches struct {
	DB     *pgxpool.Pool
	Sagas  *inspect.Inspector
	Runner *runner.Runner
	Jobs   *jobs.Jobs
}

// actions are those that a batch can do: each with one saga as with many.
var actions = []saga.Action{
	saga.ActRetry, saga.ActCancel, saga.ActResolve, saga.ActSkipWait, saga.ActEditData, saga.ActSuspend, saga.ActResume,
	saga.ActRestartFrom, saga.ActForce, saga.ActMoveDeadline, saga.ActRevokeDeadline,
}

// Register adds the kinds of jobs.
func (b *Batches) Register() {
	for _, action := range actions {
		b.Jobs.Register(kindPrefix+string(action), b)
	}
}

// Selection is what a filter chooses at the moment.
type Selection struct {
	Count  int
	Sample []inspect.Summary // the newest
}

// sampleSize is how many sagas are shown before it is done.
const sampleSize = 10

// Select says what a batch would be about.
func (b *Batches) Select(ctx context.Context, s Spec, now time.Time) (Selection, error) {
	filter, err := b.check(s)
	if err != nil {
		return Selection{}, err
	}
	filter.Limit = sampleSize
	sample, err := b.Sagas.List(ctx, filter, now)
	if err != nil {
		return Selection{}, err
	}
	filter.Limit = jobs.MaxItems + 1
	refs, err := inspect.Refs(ctx, b.DB, filter, now)
	return Selection{len(refs), sample}, err
}

// check returns the filter of a spec, or what is wrong with it.
func (b *Batches) check(s Spec) (inspect.Filter, error) {
	if _, err := s.Intervention.For(saga.Operator{}); err != nil {
		return inspect.Filter{}, err
	}
	return s.Filter.inspect()
}

// Create makes a job of a spec, with the sagas that the filter chooses now. Where there are none,
// the job is nil.
func (b *Batches) Create(ctx context.Context, s Spec, by auditlog.Entry, rate float64, now time.Time) (*jobs.Job, error) {
	filter, err := b.check(s)
	if err != nil {
		return nil, err
	}
	var job *jobs.Job
	filter.Limit = jobs.MaxItems + 1
	err = pgx.BeginFunc(ctx, b.DB, func(tx pgx.Tx) error {
		refs, err := inspect.Refs(ctx, tx, filter, now)
		if err != nil || len(refs) == 0 {
			return err
		}
		if len(refs) > jobs.MaxItems {
			return fmt.Errorf("%w: it chooses more than %d sagas; choose fewer", ErrFilter, jobs.MaxItems)
		}
		spec := jobs.Spec{Kind: kindPrefix + string(s.Intervention.Action), Parameters: s, Actor: by.Actor, Reason: by.Reason, Rate: rate}
		for _, ref := range refs {
			spec.Items = append(spec.Items, item(ref))
		}
		made, err := b.Jobs.Create(ctx, tx, spec)
		if err != nil {
			return err
		}
		job = &made
		by.Action, by.Object, by.After, by.Result = "job.create", jobs.Object(job.ID), s, fmt.Sprintf("%d sagas", job.Total)
		return auditlog.Append(ctx, tx, by)
	})
	if err != nil || job == nil {
		return nil, err
	}
	b.Jobs.Wake()
	return job, nil
}

// item names a saga as find does. An id may have any character, a definition no slash.
func item(ref saga.Ref) string { return ref.Definition + "/" + ref.ID }

func ref(item string) saga.Ref {
	definition, id, _ := strings.Cut(item, "/")
	return saga.Ref{Definition: definition, ID: id}
}

// Do implements [jobs.Handler].
func (b *Batches) Do(ctx context.Context, tx pgx.Tx, job jobs.Job, item string) (jobs.Result, error) {
	var s Spec
	if err := json.Unmarshal(job.Parameters, &s); err != nil {
		return jobs.Result{}, fmt.Errorf("%w: read its parameters: %w", jobs.ErrUnfit, err)
	}
	filter, err := b.check(s)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("%w: %w", jobs.ErrUnfit, err)
	}
	standing, err := inspect.Look(ctx, tx, ref(item), filter, time.Now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return jobs.Result{Outcome: jobs.OutcomeNoEffect, Detail: "the saga has expired"}, nil
	case err != nil:
		return jobs.Result{}, err
	case !standing.Chosen:
		return jobs.Result{Outcome: jobs.OutcomeNoEffect, Detail: "the filter does not choose it any more: " + words(standing.State, standing.Step)}, nil
	}
	by := saga.Operator{ID: uuid.Must(uuid.NewV7()), Actor: job.Actor, Reason: fmt.Sprintf("%s (job %d)", job.Reason, job.ID), Seen: standing.Revision}
	do, err := s.Intervention.For(by)
	if err != nil {
		return jobs.Result{}, fmt.Errorf("%w: %w", jobs.ErrUnfit, err)
	}
	o, committed, err := b.Runner.InterveneIn(ctx, tx, runner.Intervention{Saga: ref(item), Do: do})
	if err != nil {
		return jobs.Result{}, err
	}
	if errors.Is(o.Err, saga.ErrMoved) {
		return b.Do(ctx, tx, job, item) // a message came between the two reads
	}
	return jobs.Result{Outcome: jobs.Outcome(o.Result), Detail: o.Because, Committed: committed}, nil
}

func words(state, step string) string {
	if step == "" {
		return "it is " + state
	}
	return "it is " + state + " and waits for " + step
}
