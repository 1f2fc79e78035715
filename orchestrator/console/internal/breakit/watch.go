package breakit

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"sync"
	"time"

	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/console/internal/spark"
)

// How recovery is watched.
const (
	lookEvery = 250 * time.Millisecond
	// quiet is for how long everything has to be well before the watch ends.
	quiet      = 3 * time.Second
	watchFor   = 10 * time.Minute
	maxWatches = 20
)

// watches are what was broken lately, the newest first. It is safe for concurrent use.
type watches struct {
	mu     sync.Mutex
	recent []*watch
}

// watch is what happened after one action. It is safe for concurrent use.
type watch struct {
	mu   sync.Mutex
	view watchView
}

// watchView is a watch as a page shows it.
type watchView struct {
	Who     string    `json:"who"`
	Action  string    `json:"action"`
	Process string    `json:"process"`
	At      time.Time `json:"at"`
	Steps   []step    `json:"steps"`
	// Pending is how many outbox rows waited, as often as it was looked.
	Pending []int64 `json:"pending"`
	Over    bool    `json:"over"`
}

// Spark is how many outbox rows waited, over the time of the watch; nothing where none did.
func (w watchView) Spark() template.HTML {
	if w.Most() == 0 {
		return ""
	}
	return spark.Bars(spark.Fit(w.Pending, sparkBars), fmt.Sprintf("Outbox rows that waited, %d at most", w.Most()), nil)
}

// Most is how many outbox rows waited at most.
func (w watchView) Most() int64 {
	if len(w.Pending) == 0 {
		return 0
	}
	return slices.Max(w.Pending)
}

const sparkBars = 48

// step is something that was seen, so long after the action.
type step struct {
	After time.Duration `json:"afterNanoseconds"`
	Text  string        `json:"text"`
}

// begin begins a watch; those before it end.
func (w *watches) begin(who, action, process string, at time.Time) *watch {
	next := &watch{view: watchView{Who: who, Action: action, Process: process, At: at, Steps: []step{}, Pending: []int64{}}}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, earlier := range w.recent {
		earlier.end()
	}
	w.recent = append([]*watch{next}, w.recent[:min(len(w.recent), maxWatches-1)]...)
	return next
}

func (w *watches) all() []watchView {
	w.mu.Lock()
	defer w.mu.Unlock()
	views := make([]watchView, len(w.recent))
	for i, one := range w.recent {
		views[i] = one.copy()
	}
	return views
}

func (w *watch) copy() watchView {
	w.mu.Lock()
	defer w.mu.Unlock()
	view := w.view
	view.Steps, view.Pending = slices.Clone(view.Steps), slices.Clone(view.Pending)
	return view
}

func (w *watch) note(after time.Duration, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view.Steps = append(w.view.Steps, step{after, text})
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view.Over = true
}

func (w *watch) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view.Over
}

// sight is the stack at one moment.
type sight struct {
	says    map[string]string // of each process: why it is not well; "" if it is
	leaders map[string]string // of each database
	pending int64             // negative: the relay does not say
}

// well reports whether all run, and nothing waits.
func (s sight) well() bool {
	for _, text := range s.says {
		if text != "" {
			return false
		}
	}
	return s.pending == 0
}

// follow notes what is seen to happen until everything has been well for a while, or something else
// is done.
func (w *watch) follow(ctx context.Context, s screen) {
	defer w.end()
	ctx, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var before sight
	var since time.Time // it has been well
	for first := true; !w.over(); first = false {
		now := s.look(ctx)
		after := time.Since(w.view.At)
		seen := news(before, now, first)
		for _, text := range seen {
			w.note(after, text)
		}
		w.keep(now.pending)
		switch {
		case !now.well() || len(seen) > 0:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= quiet:
			w.note(since.Sub(w.view.At), "everything runs, and nothing waits")
			return
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// maxKept is how many counts of pending rows are kept: those of ten minutes.
const maxKept = 2400

func (w *watch) keep(pending int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.view.Pending) < maxKept {
		w.view.Pending = append(w.view.Pending, max(0, pending))
	}
}

// news is what is different from before. At first, what is not well is.
func news(before, now sight, first bool) []string {
	var all []string
	for _, name := range sorted(now.says) {
		text := now.says[name]
		if text == before.says[name] && !first {
			continue
		}
		switch {
		case text != "":
			all = append(all, name+" "+text)
		case !first:
			all = append(all, name+" is ready")
		}
	}
	for _, database := range sorted(now.leaders) {
		was, known := before.leaders[database]
		switch is := now.leaders[database]; {
		case first || !known || was == is:
		case is == "":
			all = append(all, "no relay leads "+database)
		case was == "":
			all = append(all, fmt.Sprintf("a relay leads %s again: %s", database, is))
		default:
			all = append(all, fmt.Sprintf("another relay leads %s: %s", database, is))
		}
	}
	switch {
	case first || now.pending < 0:
	case before.pending > 0 && now.pending == 0:
		all = append(all, "nothing waits in the outboxes any more")
	case before.pending <= 0 && now.pending > 0:
		all = append(all, fmt.Sprintf("pending in the outboxes: %d", now.pending))
	}
	return all
}

// outboxes is what the relay says of each database.
type outboxes struct {
	Databases []struct {
		Database, Leader string
		Pending          int64
		OldestPending    *time.Time
	}
}

// waiting is how many rows wait. Ids that are pending where no row is the oldest have no rows:
// Postgres skips some in a crash, and they are given up once later ones are published.
func (o outboxes) waiting() (rows int64) {
	for _, d := range o.Databases {
		if d.OldestPending != nil {
			rows += d.Pending
		}
	}
	return rows
}

// look looks at everything at once.
func (s screen) look(ctx context.Context) sight {
	now := sight{says: map[string]string{}, leaders: map[string]string{}, pending: -1}
	processes, err := s.stack.processes(ctx)
	if err != nil {
		now.says["the stack"] = err.Error()
		return now
	}
	says := make([]string, len(processes))
	var asking sync.WaitGroup
	for i, p := range processes {
		asking.Go(func() {
			if says[i] = s.stack.readiness(ctx, p); p.State == "frozen" || p.State == "stopped" {
				says[i] = "is " + p.State
			}
		})
	}
	asking.Go(func() {
		found, err := source.Get[outboxes](ctx, s.sources.Relay, "/v1/outbox")
		if err != nil {
			return
		}
		now.pending = found.waiting()
		for _, d := range found.Databases {
			now.leaders[d.Database] = d.Leader
		}
	})
	asking.Wait()
	for i, p := range processes {
		now.says[p.Name] = says[i]
	}
	return now
}
