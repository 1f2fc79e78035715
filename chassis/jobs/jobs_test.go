package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/jobs"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is a database with a table of effects.
type fixture struct {
	*testing.T
	db *pgtest.Database
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), "create table effect (item text)")
	require.NoError(t, err)
	return fixture{t, db}
}

// effect writes that an item was done.
func effect(ctx context.Context, tx pgx.Tx, _ jobs.Job, item string) (jobs.Result, error) {
	_, err := tx.Exec(ctx, "insert into effect values ($1)", item)
	return jobs.Result{Outcome: jobs.OutcomeDone}, err
}

func (f fixture) instance(do jobs.HandlerFunc) *jobs.Jobs {
	j := jobs.New(f.db.Pool, slog.New(slog.DiscardHandler))
	j.Register("test", do)
	return j
}

// run runs an instance until the function that is returned is called.
func (f fixture) run(j *jobs.Jobs) (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = j.Run(ctx)
	}()
	stop = func() { cancel(); <-ended }
	f.Cleanup(stop)
	return stop
}

func (f fixture) create(j *jobs.Jobs, n int, rate float64) jobs.Job {
	f.Helper()
	items := make([]string, n)
	for i := range items {
		items[i] = strconv.Itoa(i)
	}
	var job jobs.Job
	require.NoError(f, pgx.BeginFunc(f.Context(), f.db.Pool, func(tx pgx.Tx) (err error) {
		job, err = j.Create(f.Context(), tx, jobs.Spec{Kind: "test", Actor: "ada", Reason: "a test", Rate: rate, Items: items})
		return err
	}))
	j.Wake()
	return job
}

func (f fixture) await(j *jobs.Jobs, id int64, what string, is func(jobs.Job) bool) (job jobs.Job) {
	f.Helper()
	require.Eventually(f, func() bool {
		var err error
		job, err = j.Get(f.Context(), id)
		return err == nil && is(job)
	}, time.Minute, 10*time.Millisecond, what)
	return job
}

func in(s jobs.State) func(jobs.Job) bool { return func(j jobs.Job) bool { return j.State == s } }

func (f fixture) change(do func(context.Context, pgx.Tx, int64, int) (jobs.Job, error), id int64, seen int) error {
	return pgx.BeginFunc(f.Context(), f.db.Pool, func(tx pgx.Tx) error {
		_, err := do(f.Context(), tx, id, seen)
		return err
	})
}

// buffer is a log that is read while it is written.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// effects returns how many effects there are, and of how many items.
func (f fixture) effects() (all, items int) {
	f.Helper()
	require.NoError(f, f.db.Pool.QueryRow(f.Context(), "select count(*), count(distinct item) from effect").Scan(&all, &items))
	return all, items
}

func TestJobs_EveryItemHasOneResult(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var flaky atomic.Bool
	j := f.instance(func(ctx context.Context, tx pgx.Tx, job jobs.Job, item string) (jobs.Result, error) {
		switch item {
		case "1":
			return jobs.Result{Outcome: jobs.OutcomeNoEffect, Detail: "it had ended"}, nil
		case "2":
			return jobs.Result{Outcome: jobs.OutcomeRefused, Detail: "not like that"}, nil
		case "3":
			return jobs.Result{}, errors.New("it breaks")
		case "4":
			panic("a bug")
		case "5":
			if flaky.CompareAndSwap(false, true) {
				_, _ = effect(ctx, tx, job, item) // goes with the transaction
				return jobs.Result{}, errors.New("once")
			}
		}
		return effect(ctx, tx, job, item)
	})
	f.run(j)
	job := f.await(j, f.create(j, 8, 1000).ID, "finished", in(jobs.Finished))
	require.Equal(t, []int{8, 4, 1, 3}, []int{job.Total, job.Done, job.NoEffect, job.Refused})
	items, err := j.Results(t.Context(), job.ID, jobs.OutcomeRefused, 0, 10)
	require.NoError(t, err)
	var details []string
	for _, i := range items {
		details = append(details, i.Item+": "+*i.Detail)
	}
	require.Equal(t, []string{"2: not like that", "3: it failed each time: it breaks", "4: it failed each time: panic: a bug"}, details)
	all, distinct := f.effects()
	require.Equal(t, []int{4, 4}, []int{all, distinct})
}

// However an instance ends, and however many there are, an item has its effect exactly once. A
// lease that is taken away in the middle of an item stands for a process that was frozen: what it
// does afterwards is not committed.
func TestJobs_TakenOverJobDoesNoItemTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	reached, wakesUp := make(chan struct{}), make(chan struct{})
	var log buffer
	frozen := jobs.New(f.db.Pool, slog.New(slog.NewTextHandler(&log, nil)))
	frozen.Register("test", jobs.HandlerFunc(func(ctx context.Context, tx pgx.Tx, job jobs.Job, item string) (jobs.Result, error) {
		result, err := effect(ctx, tx, job, item)
		if item == "20" {
			close(reached)
			<-wakesUp
		}
		return result, err
	}))
	stop := f.run(frozen)
	job := f.create(frozen, 60, 500)
	<-reached
	_, err := f.db.Pool.Exec(t.Context(), "update job set lease_until = now() - interval '1 second'")
	require.NoError(t, err)
	second, third := f.instance(effect), f.instance(effect)
	f.run(second)
	f.run(third)
	f.await(second, job.ID, "taken over", func(j jobs.Job) bool { return j.Done > 30 || j.State == jobs.Finished })
	close(wakesUp)
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), "taken over") || strings.Contains(log.String(), "job finished")
	}, time.Minute, 10*time.Millisecond, "what was frozen has tried to commit")
	stop()
	job = f.await(second, job.ID, "finished", in(jobs.Finished))
	require.Equal(t, 60, job.Done)
	all, distinct := f.effects()
	require.Equal(t, []int{60, 60}, []int{all, distinct})
}

// A process that stops leaves its job to others at once, and not when its lease ends.
func TestJobs_StoppedInstanceLeavesItsJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.instance(effect)
	stop := f.run(first)
	job := f.create(first, 1000, 100)
	f.await(first, job.ID, "some done", func(j jobs.Job) bool { return j.Done > 3 })
	stop()
	before := f.await(first, job.ID, "still running", in(jobs.Running))
	began := time.Now()
	f.run(f.instance(effect))
	f.await(first, job.ID, "goes on", func(j jobs.Job) bool { return j.Done > before.Done })
	require.Less(t, time.Since(began), 12*time.Second, "the lease is of 15 seconds")
}

func TestJobs_PauseResumeAndCancelActOnWhatWasSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.instance(effect)
	f.run(j)
	job := f.await(j, f.create(j, 5000, 200).ID, "running", func(j jobs.Job) bool { return j.Done > 0 })

	require.ErrorIs(t, f.change(j.Pause, job.ID, job.Revision+1), jobs.ErrChanged)
	require.NoError(t, f.change(j.Pause, job.ID, job.Revision))
	paused := f.await(j, job.ID, "paused", in(jobs.Paused))
	require.ErrorIs(t, f.change(j.Pause, job.ID, 0), jobs.ErrState)
	all, _ := f.effects()
	require.Equal(t, paused.Done, all, "what is counted is what was done")

	require.NoError(t, f.change(j.Resume, job.ID, paused.Revision))
	j.Wake()
	f.await(j, job.ID, "goes on", func(j jobs.Job) bool { return j.Done > paused.Done })
	require.NoError(t, f.change(j.Cancel, job.ID, 0))
	cancelled := f.await(j, job.ID, "cancelled", in(jobs.Cancelled))
	require.Less(t, cancelled.Done, cancelled.Total)
	all, _ = f.effects()
	require.Equal(t, cancelled.Done, all)
	require.ErrorIs(t, f.change(j.Resume, job.ID, 0), jobs.ErrState)
	require.ErrorIs(t, f.change(j.Cancel, 4711, 0), jobs.ErrNotFound)
}

func TestJobs_RateIsABound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.instance(effect)
	f.run(j)
	began := time.Now()
	f.await(j, f.create(j, 21, 20).ID, "finished", in(jobs.Finished))
	require.GreaterOrEqual(t, time.Since(began), time.Second)
}

func TestJobs_UnfitJobFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.instance(func(context.Context, pgx.Tx, jobs.Job, string) (jobs.Result, error) {
		return jobs.Result{}, fmt.Errorf("%w: no such action", jobs.ErrUnfit)
	})
	f.run(j)
	job := f.await(j, f.create(j, 3, 100).ID, "failed", in(jobs.Failed))
	require.Contains(t, *job.Error, "no such action")
}

func TestJobs_OldOnesAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	j := f.instance(effect)
	f.run(j)
	job := f.await(j, f.create(j, 3, 1000).ID, "finished", in(jobs.Finished))
	n, err := j.Expire(t.Context(), job.EndedAt.Add(-time.Second), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = j.Expire(t.Context(), job.EndedAt.Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = j.Get(t.Context(), job.ID)
	require.ErrorIs(t, err, jobs.ErrNotFound)
}

func ExampleJobs() {
	var (
		service *jobs.Jobs // = jobs.New(pool, log)
		pool    interface {
			Begin(context.Context) (pgx.Tx, error)
		}
	)
	if service == nil {
		return // an Example that compiles
	}
	service.Register("shelf.recount", jobs.HandlerFunc(func(ctx context.Context, tx pgx.Tx, _ jobs.Job, sku string) (jobs.Result, error) {
		tag, err := tx.Exec(ctx, "update shelf set recount = true where sku = $1 and not recount", sku)
		if err == nil && tag.RowsAffected() == 0 {
			return jobs.Result{Outcome: jobs.OutcomeNoEffect, Detail: "it is asked for already"}, nil
		}
		return jobs.Result{Outcome: jobs.OutcomeDone}, err
	}))
	ctx := context.Background()
	go func() { _ = service.Run(ctx) }() // a part of the service

	_ = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := service.Create(ctx, tx, jobs.Spec{
			Kind: "shelf.recount", Actor: "ada", Reason: "the scale was wrong", Rate: 20, Items: []string{"burger", "fries"},
		})
		return err
	})
	service.Wake()
}
