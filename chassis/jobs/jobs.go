// Package jobs does what an operator asks for of many things at once: at a bounded rate, one item
// at a time, with a result for each, and with pause, resume and cancel in between. A job is a row
// of the service's own Postgres (migration set outbox), and survives restarts.
//
// # States
//
//	queued ──> running ──> finished
//	   ^ │        │ └────> failed      a handler said that it cannot do such a job: ErrUnfit
//	   │ └──────┐ │
//	 paused <───┴─┘                    resume puts it back to queued
//	   └── queued, running, paused ──> cancelled
//
// # Which items
//
// The items are written with the job, in one transaction: what the operator was shown is what is
// worked on. What became of an item in the meantime is for the handler to see at its turn, and to
// answer with no effect or refused.
//
// # Once
//
// A handler is given the transaction in which the item's result is written, and has its effect in
// it. The same transaction counts the item in the job's row on the condition that this process
// still holds the job's lease and that the job still runs. So a process that was killed has done an
// item with its result or not at all; and one that was frozen, lost its lease and wakes up commits
// nothing. An effect outside of the database has to be idempotent.
//
// # Errors of an item
//
// An error that the item brings about (see chassis/postgres Classify) refuses it after a few
// attempts, and the job goes on. While the database is unavailable, or refuses statements for a
// reason outside of the item, the job waits, and says so in its row.
//
// # Idle
//
// [Jobs.Run] looks for work every few seconds with one lookup in a partial index, and at once after
// [Jobs.Create] in the same process.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// SchemaVersion is the version of the migration set "outbox" that this package needs.
const SchemaVersion = 9

const (
	// MaxItems is the most items of one job.
	MaxItems = 100_000
	// MaxRate is the most items per second that a job may ask for.
	MaxRate = 1000
	// Retention is how long jobs are kept after their end, with the result of every item.
	Retention = 30 * 24 * time.Hour
)

// State is where a job stands.
type State string

// The states.
const (
	Queued    State = "queued"
	Running   State = "running"
	Paused    State = "paused"
	Cancelled State = "cancelled"
	Finished  State = "finished"
	Failed    State = "failed"
)

// Job is one job, as its row has it.
type Job struct {
	ID         int64           `json:"id"`
	Kind       string          `json:"kind" doc:"What is done to each item, such as saga.retry"`
	Parameters json.RawMessage `json:"parameters" doc:"As the kind needs them"`
	Actor      string          `json:"actor" doc:"Who asked for it"`
	Reason     string          `json:"reason" doc:"Why"`
	Rate       float64         `json:"rate" doc:"Items per second, at most"`
	State      State           `json:"state" enum:"queued,running,paused,cancelled,finished,failed"`
	Revision   int             `json:"revision" doc:"Goes up with the state; the ETag"`
	Total      int             `json:"total" doc:"Items"`
	Done       int             `json:"done" doc:"Items that were done"`
	NoEffect   int             `json:"noEffect" doc:"Items that needed nothing any more when their turn came"`
	Refused    int             `json:"refused" doc:"Items that could not be done"`
	Error      *string         `json:"error,omitempty" doc:"Why it failed, or what it waits for"`
	CreatedAt  time.Time       `json:"createdAt"`
	StartedAt  *time.Time      `json:"startedAt,omitempty"`
	EndedAt    *time.Time      `json:"endedAt,omitempty"`
}

// Spec is a job that is to be created.
type Spec struct {
	Kind       string
	Parameters any // encoded as JSON
	Actor      string
	Reason     string
	Rate       float64  // items per second; at most MaxRate
	Items      []string // at most MaxItems, each once
}

// Outcome says in a word what came of an item.
type Outcome string

// The outcomes.
const (
	OutcomeDone     Outcome = "done"
	OutcomeNoEffect Outcome = "no_effect"
	OutcomeRefused  Outcome = "refused"
)

// Result is what came of an item.
type Result struct {
	Outcome Outcome
	Detail  string // why there was no effect, or why it was refused
	// Committed, if not nil, is called once the item's transaction is committed.
	Committed func()
}

// Handler does one item of a kind of job.
type Handler interface {
	// Do has the item's effect in tx, and neither commits nor rolls it back. After an error all of
	// it is rolled back; see the package's documentation for what follows. The context has a
	// deadline.
	Do(ctx context.Context, tx pgx.Tx, job Job, item string) (Result, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, tx pgx.Tx, job Job, item string) (Result, error)

// Do calls f.
func (f HandlerFunc) Do(ctx context.Context, tx pgx.Tx, job Job, item string) (Result, error) {
	return f(ctx, tx, job, item)
}

// The errors of what operators ask for.
var (
	ErrNotFound = errors.New("no such job")
	ErrChanged  = errors.New("the job has changed since")
	ErrState    = errors.New("the job is not in a state for that")
)

// ErrUnfit is wrapped by the error of a handler that cannot do a job at all, with parameters that
// it does not understand for instance: the job fails.
var ErrUnfit = errors.New("the job cannot be done")

// Jobs are the jobs of one database. Register the kinds before Run; the rest is safe for concurrent
// use.
type Jobs struct {
	db       *pgxpool.Pool
	log      *slog.Logger
	me       uuid.UUID
	handlers map[string]Handler
	wake     chan struct{}
	lease    time.Duration
	poll     time.Duration
	working  sync.WaitGroup
}

// The times of a worker.
const (
	lease = 15 * time.Second // after it, the job of a process that died is taken over
	poll  = 3 * time.Second  // how often is looked for jobs that others created or left
	// maxRunning is how many jobs one process works on at a time.
	maxRunning = 4
)

// New returns the jobs of a database. Every instance of a service may have one.
func New(db *pgxpool.Pool, log *slog.Logger) *Jobs {
	return &Jobs{
		db: db, log: log, me: uuid.New(), handlers: map[string]Handler{}, wake: make(chan struct{}, 1),
		lease: lease, poll: poll,
	}
}

// Register says what does the items of a kind. Jobs of other kinds are left alone.
func (j *Jobs) Register(kind string, h Handler) { j.handlers[kind] = h }

// validate returns what is wrong with a spec.
func (s Spec) validate() error {
	switch {
	case s.Kind == "" || s.Actor == "" || s.Reason == "":
		return errors.New("a job needs a kind, an actor and a reason")
	case s.Rate <= 0 || s.Rate > MaxRate:
		return fmt.Errorf("a job's rate is more than 0 and at most %d items per second", MaxRate)
	case len(s.Items) > MaxItems:
		return fmt.Errorf("a job has at most %d items; choose fewer with the filter", MaxItems)
	}
	return nil
}
