// Package simulation runs many order sagas through a world that goes wrong in
// every way it can, from a seed, in virtual time, and checks that Waybill's
// promises hold.
//
// The orchestrator in it is the real engine with the real order definition;
// Orders, Inventory, the outboxes, the relays and Kafka are models of what the
// services do. Messages are lost, duplicated, reordered and delayed; processes
// crash between any two durable steps and stay away for a while. After a time
// the faults stop, and then everything has to come to its end.
//
// A seed gives the same run every time, so a failure is a seed.
package simulation

import (
	"container/heap"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
	"waybill/orchestrator/ordersaga"
	"waybill/orchestrator/saga"
)

// Bug is a mistake planted on purpose, to show that the simulation finds it.
type Bug string

// The bugs that can be planted.
const (
	NoBug Bug = ""
	// OffsetFirst commits a message's offset before the transaction of its
	// effect: a crash in between loses the message.
	OffsetFirst Bug = "offset committed before the transaction"
	// ForgetLateReply ignores a success that comes after the saga gave up.
	ForgetLateReply Bug = "late reply forgotten"
	// NoDedup lets Inventory recognise a repeated command by its event id only,
	// which each attempt has anew.
	NoDedup Bug = "retry applied twice"
	// ForgetRelease gives a saga up without taking the reservation back.
	ForgetRelease Bug = "compensation forgotten"
)

// Bugs lists the bugs that can be planted.
func Bugs() []Bug { return []Bug{OffsetFirst, ForgetLateReply, NoDedup, ForgetRelease} }

// Config says what to run.
type Config struct {
	Seed   uint64
	Orders int // 0 means 20
	Bug    Bug
	Trace  bool // keep what happened, for Result.Trace
}

// Result is what came of a run.
type Result struct {
	Seed       uint64
	Violations []string
	Faults     Faults
	Sagas      int
	Confirmed  int
	Cancelled  int
	Trace      []string
}

// Faults counts what went wrong on purpose, and what came of it.
type Faults struct {
	Lost, Duplicated, Delayed, Reordered      int // messages
	CrashesBefore, CrashesAfter, RelayRepeats int // around a commit; relays that published again
	Outages                                   int // of a service
	Retries, GivenUp, LateReplies, Stale      int // of sagas
	Rejections, CancelRequests                int
}

// Add adds the counts of another run.
func (f *Faults) Add(o Faults) {
	f.Lost += o.Lost
	f.Duplicated += o.Duplicated
	f.Delayed += o.Delayed
	f.Reordered += o.Reordered
	f.CrashesBefore += o.CrashesBefore
	f.CrashesAfter += o.CrashesAfter
	f.RelayRepeats += o.RelayRepeats
	f.Outages += o.Outages
	f.Retries += o.Retries
	f.GivenUp += o.GivenUp
	f.LateReplies += o.LateReplies
	f.Stale += o.Stale
	f.Rejections += o.Rejections
	f.CancelRequests += o.CancelRequests
}

// The shape of a run, in virtual time.
const (
	ordersWithin = 5 * time.Minute  // orders are placed
	faultsUntil  = 30 * time.Minute // then the world is sound
	patience     = 6 * time.Hour    // by which everything must have ended
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Run runs one simulation.
func Run(c Config) Result {
	if c.Orders == 0 {
		c.Orders = 20
	}
	w := newWorld(c)
	w.place()
	for w.agenda.Len() > 0 && w.now <= patience {
		next := heap.Pop(&w.agenda).(event)
		w.now = next.at
		next.do()
	}
	w.check()
	return w.result
}

// world is one run.
type world struct {
	config Config
	dice   *rand.Rand
	now    time.Duration
	agenda agenda
	result Result

	// lossy worlds lose messages; the participants of the others forget undos
	// that come before the deed. An engine cannot be asked to survive both at
	// once: nobody would ever know of the effect.
	lossy bool
	mood  mood

	orders       *orders
	inventory    *inventory
	orchestrator *orchestrator
}

// mood is how bad a run is: each run draws its own rates.
type mood struct {
	lose, duplicate, slow, crash float64
}

func newWorld(c Config) *world {
	w := &world{config: c, dice: rand.New(rand.NewPCG(c.Seed, 0x7761796269_6c6c))}
	w.result.Seed = c.Seed
	w.lossy = w.dice.IntN(2) == 0
	w.mood = mood{
		duplicate: w.dice.Float64() * 0.3, slow: w.dice.Float64() * 0.3, crash: w.dice.Float64() * 0.1,
	}
	if w.lossy {
		w.mood.lose = w.dice.Float64() * 0.3
	}
	w.orders = newOrders(w)
	w.inventory = newInventory(w)
	w.orchestrator = newOrchestrator(w)
	return w
}

// place puts the orders, the cancellations and the outages on the agenda.
func (w *world) place() {
	w.result.Sagas = w.config.Orders
	for id := range int64(w.config.Orders) {
		id++
		placed := w.within(ordersWithin)
		w.at(placed, func() { w.orders.place(id) })
		if w.chance(0.2) {
			w.result.Faults.CancelRequests++
			w.at(placed+1+w.within(10*time.Minute), func() { w.orders.requestCancel(id) })
		}
	}
	for _, s := range []*service{&w.orders.service, &w.inventory.service, &w.orchestrator.service} {
		for range w.dice.IntN(3) {
			begin, length := w.within(faultsUntil/2), w.within(8*time.Minute)
			w.at(begin, func() { w.outage(s, length) })
		}
	}
	// When the faults are over, an operator replays the outboxes of a world that
	// loses messages, as the runbook says; inboxes make that harmless.
	if w.lossy {
		w.at(faultsUntil, func() {
			w.orders.outbox.replay()
		})
	}
}

// faulty says whether the world still goes wrong.
func (w *world) faulty() bool { return w.now < faultsUntil }

// chance is true with probability p while the world goes wrong.
func (w *world) chance(p float64) bool { return w.faulty() && w.dice.Float64() < p }

func (w *world) within(d time.Duration) time.Duration { return time.Duration(w.dice.Int64N(int64(d))) }

func (w *world) clock() time.Time { return epoch.Add(w.now) }

func (w *world) id() uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(w.dice.Uint32())
	}
	return id
}

func (w *world) trace(format string, args ...any) {
	if w.config.Trace {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%12s  ", w.now.Round(time.Microsecond))+fmt.Sprintf(format, args...))
	}
}

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

func (w *world) at(when time.Duration, do func()) {
	w.agenda.seq++
	heap.Push(&w.agenda, event{at: max(when, w.now), seq: w.agenda.seq, do: do})
}

// timing is short, so that a run has room for everything.
func timing() ordersaga.Timing {
	return ordersaga.Timing{
		ReserveWithin: 5 * time.Second, ReserveAttempts: 3, ReplyWithin: 5 * time.Second, CancelWindow: patience,
	}
}

// definition is parsed once: definitions are immutable.
var definition = func() *saga.Definition {
	d, err := ordersaga.Definition(timing())
	if err != nil {
		panic(err) // the order saga itself is wrong; its own tests say how
	}
	return d
}()

func about(m contracts.Message) string {
	return fmt.Sprintf("%s of order %d", m.Meta().Type, m.Meta().OrderID)
}

// Counts returns the counts by name, in a fixed order.
func (f Faults) Counts() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, c := range []struct {
			name string
			n    int
		}{
			{"messages lost", f.Lost},
			{"messages duplicated", f.Duplicated},
			{"messages delayed", f.Delayed},
			{"messages overtaken", f.Reordered},
			{"relay published again", f.RelayRepeats},
			{"crashes before commit", f.CrashesBefore},
			{"crashes after commit", f.CrashesAfter},
			{"service outages", f.Outages},
			{"commands repeated", f.Retries},
			{"steps given up", f.GivenUp},
			{"late replies undone", f.LateReplies},
			{"stale replies ignored", f.Stale},
			{"reservations rejected", f.Rejections},
			{"cancellations requested", f.CancelRequests},
		} {
			if !yield(c.name, c.n) {
				return
			}
		}
	}
}
