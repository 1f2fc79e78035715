package sagasim

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// The shape of a run, in virtual time.
const (
	// Busy is how long sagas are started.
	Busy = 5 * time.Minute
	// Faulty is how long things go wrong; then an operator repairs what is left, and the world is
	// sound.
	Faulty = 30 * time.Minute
	// MustEndBy is by when everything must have ended.
	MustEndBy = 2 * time.Hour
)

// Epoch is the virtual time at which each run begins.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Config is one run. The same Config gives the same run.
type Config struct {
	Seed uint64
	// Trace records what happens, in Result.Trace.
	Trace bool
	// Bug takes a safeguard out, to see that the simulation finds out; see [Bugs].
	Bug Bug
	// Data, if set, is the body of the message that starts the nth saga of [Run]: what the
	// conditions of its steps decide by. If it is nil, the body is {}.
	Data func(definition string, n int) json.RawMessage
}

// World is one run: a clock, a broker, an orchestrator, and services with databases of their own.
type World struct {
	config Config
	random *rand.Rand
	now    time.Duration
	agenda agenda
	result Result
	mood   mood

	topics       map[string]*topic
	services     []*Service
	orchestrator *Orchestrator
	checks       []func()
}

// mood is how bad a run is: each draws its own rates.
type mood struct {
	// ordered worlds have a broker that keeps its promises: nothing is lost, and messages of one
	// key keep their order. The others have neither.
	ordered                          bool
	lose, duplicate, slow            float64
	crash, stall, reject, delayRelay float64
}

// New returns a world in which nothing happens yet.
func New(c Config) *World {
	w := &World{config: c, random: rand.New(rand.NewPCG(c.Seed, 0x7761796269_6c6c)), topics: map[string]*topic{}}
	w.result.Seed = c.Seed
	w.mood = mood{
		ordered: w.random.IntN(2) == 0, duplicate: w.random.Float64() * 0.3, slow: w.random.Float64() * 0.3,
		crash: w.random.Float64() * 0.1, stall: w.random.Float64() * 0.02, delayRelay: w.random.Float64() * 0.5,
	}
	if !w.mood.ordered {
		w.mood.lose = w.random.Float64() * 0.3
	}
	if w.random.IntN(4) == 0 {
		w.mood.stall = w.random.Float64() * 0.3
	}
	if w.random.IntN(3) == 0 {
		w.mood.reject = w.random.Float64() * 0.05
	}
	return w
}

// Run lets everything happen that is on the agenda, and what that leads to, and then checks what
// has become of it.
func (w *World) Run() Result {
	w.spoil()
	for w.agenda.Len() > 0 && w.now <= MustEndBy {
		next := heap.Pop(&w.agenda).(event)
		w.now = next.at
		next.do()
	}
	w.orchestrator.check()
	for _, check := range w.checks {
		check()
	}
	return w.result
}

// Check adds a check of how the world is when everything has come to rest.
func (w *World) Check(check func()) { w.checks = append(w.checks, check) }

// Bug is the bug that is planted.
func (w *World) Bug() Bug { return w.config.Bug }

// At lets something happen after a virtual time since the beginning.
func (w *World) At(when time.Duration, do func()) {
	w.agenda.seq++
	heap.Push(&w.agenda, event{at: max(when, w.now), seq: w.agenda.seq, do: do})
}

// Later lets something happen after a while.
func (w *World) Later(wait time.Duration, do func()) { w.At(w.now+wait, do) }

// Now is the virtual time since the beginning.
func (w *World) Now() time.Duration { return w.now }

// Clock is the virtual time.
func (w *World) Clock() time.Time { return Epoch.Add(w.now) }

// Chance is true with probability p.
func (w *World) Chance(p float64) bool { return w.random.Float64() < p }

// Pick draws one of n.
func (w *World) Pick(n int) int { return w.random.IntN(n) }

// Within draws a time shorter than d.
func (w *World) Within(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d)))
}

// ID draws a random id.
func (w *World) ID() uuid.UUID {
	var id uuid.UUID
	for i := 0; i < len(id); i += 8 {
		n := w.random.Uint64()
		for j := range 8 {
			id[i+j] = byte(n >> (8 * j))
		}
	}
	return id
}

// Tracef notes what happens.
func (w *World) Tracef(format string, args ...any) {
	if w.config.Trace {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%12s  ", w.now.Round(time.Microsecond))+fmt.Sprintf(format, args...))
	}
}

// Violation says that a promise was broken.
func (w *World) Violation(format string, args ...any) {
	v := fmt.Sprintf(format, args...)
	w.Tracef("VIOLATION: %s", v)
	w.result.Violations = append(w.result.Violations, v)
}

// Count counts something that has happened.
func (w *World) Count(f Fault) { w.result.Faults[f]++ }

// wrong is true with probability p while things go wrong.
func (w *World) wrong(p float64) bool { return w.now < Faulty && w.random.Float64() < p }

// event is something that will happen.
type event struct {
	at  time.Duration
	seq int
	do  func()
}

// agenda is a heap of events; those of the same time keep their order.
type agenda struct {
	events []event
	seq    int
}

func (a *agenda) Len() int { return len(a.events) }
func (a *agenda) Less(i, j int) bool {
	if a.events[i].at != a.events[j].at {
		return a.events[i].at < a.events[j].at
	}
	return a.events[i].seq < a.events[j].seq
}
func (a *agenda) Swap(i, j int) { a.events[i], a.events[j] = a.events[j], a.events[i] }
func (a *agenda) Push(e any)    { a.events = append(a.events, e.(event)) }
func (a *agenda) Pop() any {
	last := a.events[len(a.events)-1]
	a.events = a.events[:len(a.events)-1]
	return last
}
