package sagasim

import (
	"encoding/json"
	"errors"
	"iter"
	"time"

	"waybill.example/sdk/saga"
)

// Result is what became of a run.
type Result struct {
	Seed       uint64
	Violations []string
	Faults     Faults
	Coverage   *Coverage
	Trace      []string
}

// Fault is something that is counted.
type Fault int

// What is injected, and what comes of it.
const (
	Lost Fault = iota
	Duplicated
	Delayed
	RelayRepeats
	CrashesBefore
	CrashesAfter
	Stalls
	Outages
	Restores
	Deploys
	DeadLettered
	Redriven
	Interventions
	Conflicts
	Unsent
	Retries
	GivenUp
	LateSuccesses
	Stale
	HeldMessages
	SuspendedSagas
	CancelRequests
	CancelRefusals
	Forgotten
	faults
)

var faultNames = [faults]string{
	"messages lost", "messages duplicated", "messages delayed", "relay published again", "crashes before commit",
	"crashes after commit", "transactions stalled", "outages", "databases restored", "instances replaced",
	"messages set aside", "dead letters redriven", "interventions", "conflicting transactions",
	"deadlines before the command had left", "commands repeated", "steps given up", "late replies undone",
	"stale replies ignored", "messages held for another version", "sagas suspended", "cancellations applied",
	"cancellations refused", "sagas forgotten",
}

// Faults are the counts.
type Faults [faults]int

// Add adds the counts of another run.
func (f *Faults) Add(o Faults) {
	for i, n := range o {
		f[i] += n
	}
}

// All returns the counts by name, in a fixed order.
func (f Faults) All() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for i, n := range f {
			if !yield(faultNames[i], n) {
				return
			}
		}
	}
}

// spoil puts on the agenda what goes wrong.
func (w *World) spoil() {
	for _, s := range w.services {
		for range w.Pick(3) {
			w.At(w.Within(Faulty/2), func() { s.outage(w.Within(8 * time.Minute)) })
		}
		if w.Pick(3) == 0 {
			w.At(w.Within(Faulty/2), func() {
				s.relay.paused = w.now + w.Within(10*time.Minute)
				w.Tracef("the relay of %s is paused", s.name)
			})
		}
	}
	if w.Pick(3) == 0 {
		s := w.services[w.Pick(len(w.services))]
		at := w.Within(Faulty / 3)
		w.At(at, s.Backup)
		w.At(at+w.Within(10*time.Minute), s.Restore)
	}
	if w.Pick(2) == 0 {
		for range 1 + w.Pick(8) {
			w.At(w.Within(Faulty), w.orchestrator.meddle)
		}
	}
	if w.Pick(6) == 0 {
		at := w.Within(Faulty / 2)
		w.At(at, func() { w.orchestrator.suspendDefinition(w.Within(10 * time.Minute)) })
	}
	w.deploy()
	w.At(Faulty, w.repair)
}

// deploy rolls the releases out; some are rolled back, and come again at the end.
func (w *World) deploy() {
	o := w.orchestrator
	at := time.Duration(0)
	for r := range len(o.registries) - 1 {
		at += w.Within(Faulty / 4)
		w.At(at, func() { o.Deploy(r + 1) })
		if w.Pick(4) == 0 {
			w.At(at+w.Within(5*time.Minute), func() { o.Deploy(r) })
		}
	}
	if at > 0 {
		w.At(Faulty, func() { o.Deploy(len(o.registries) - 1) })
	}
}

// repair is what operators do when the faults are over: dead letters are redriven, what a lossy
// broker has lost is replayed (inboxes make that harmless), and deadlines that were revoked are
// looked after.
func (w *World) repair() {
	for _, s := range w.services {
		s.Redrive()
		if !w.mood.ordered {
			s.replay()
		}
	}
	w.Later(10*time.Minute, func() {
		for _, s := range w.services {
			s.Redrive()
		}
		w.orchestrator.resumeAll()
		w.orchestrator.retryRevoked()
	})
}

func (o *Orchestrator) retryRevoked() {
	for _, ref := range o.refs() {
		s, _ := o.Saga(ref)
		for i, st := range s.Steps {
			if (st.Status != saga.Waiting && st.Status != saga.Undoing) || !st.Deadline.IsZero() || s.Phase.Ended() {
				continue
			}
			by := saga.Operator{ID: o.w.ID(), Actor: "simulation"}
			if len(st.Sent) > 0 {
				o.tolerate(ref, o.Intervene(ref, saga.RetryNow{Operator: by}))
				break
			}
			if def, ok := o.coverage.find(s); ok { // an event: nobody can be asked for it
				o.tolerate(ref, o.Intervene(ref, saga.MoveDeadline{Operator: by, Step: def.StepNames()[i], To: o.w.Clock()}))
			}
		}
	}
}

// meddle is an operator who looks at some saga and a moment later does something to it.
func (o *Orchestrator) meddle() {
	w := o.w
	refs := o.refs()
	if len(refs) == 0 {
		return
	}
	ref := refs[w.Pick(len(refs))]
	s, _ := o.Saga(ref)
	by := saga.Operator{ID: w.ID(), Actor: "simulation", Reason: "as planned"}
	if w.Pick(2) == 0 {
		by.Seen = s.Revision
	}
	d, known := o.registries[len(o.registries)-1].Definition(s.Definition, s.Version)
	if !known {
		return
	}
	names := d.StepNames()
	step := names[w.Pick(len(names))]
	if !s.CompleteBy.IsZero() && w.Pick(4) == 0 {
		step = "" // the whole saga
	}
	completed, cancelled := d.Ends()
	var in saga.Input
	switch w.Pick(14) {
	case 0:
		in = saga.Cancel{Operator: by}
	case 1:
		in = saga.RetryNow{Operator: by}
	case 2:
		in = saga.MoveDeadline{Operator: by, Step: step, To: w.Clock().Add(w.Within(4*time.Minute) - time.Minute)}
	case 3:
		in = saga.RevokeDeadline{Operator: by, Step: step}
	case 4, 5:
		in = saga.Force{Operator: by, End: cancelled}
	case 6:
		in = saga.Force{Operator: by, End: completed}
	default:
		in = o.repairing(by, step)
	}
	w.Later(w.Within(2*time.Second), func() { o.tolerate(ref, o.Intervene(ref, in)) })
	if _, suspends := in.(saga.Suspend); suspends {
		w.Later(w.Within(10*time.Minute), func() { o.tolerate(ref, o.Intervene(ref, o.resume())) })
	}
}

// repairing is one of the interventions that are about a step, or about the data.
func (o *Orchestrator) repairing(by saga.Operator, step string) saga.Intervention {
	w := o.w
	switch w.Pick(7) {
	case 0:
		as := []saga.StepStatus{saga.Done, saga.Failed, saga.Undone}[w.Pick(3)]
		return saga.Resolve{Operator: by, Step: step, As: as, Data: json.RawMessage("{}")}
	case 1, 2:
		return saga.SkipWait{Operator: by, Step: step}
	case 3:
		return saga.RestartFrom{Operator: by, Step: step}
	case 4:
		return saga.EditData{Operator: by, Patch: json.RawMessage("{}")}
	default:
		return saga.Suspend{Operator: by}
	}
}

func (o *Orchestrator) resume() saga.Intervention {
	return saga.Resume{Operator: saga.Operator{ID: o.w.ID(), Actor: "simulation", Reason: "enough"}}
}

// suspendDefinition has the sagas of some version do nothing for a while. Every instance follows a
// moment later, one after the other.
func (o *Orchestrator) suspendDefinition(while time.Duration) {
	w := o.w
	first := o.with.Releases[0]
	d := first[w.Pick(len(first))]
	w.Count(Interventions)
	w.Tracef("version %d of %s is suspended", d.Version(), d.Name())
	by := saga.Suspension{Definition: d.Name(), Version: d.Version(), At: w.Clock(), By: "simulation", Reason: "as planned"}
	for _, i := range o.instances {
		w.Later(w.Within(2*time.Second), func() { i.suspended = []saga.Suspension{by} })
		w.Later(while+w.Within(2*time.Second), func() {
			i.suspended = nil
			o.wakeAll()
		})
	}
}

// wakeAll looks at what was held up by a suspension.
func (o *Orchestrator) wakeAll() {
	o.wakeSuspended()
	for _, ref := range o.refs() {
		if s, _ := o.Saga(ref); len(s.Held) > 0 {
			o.due(ref)
		}
	}
}

// resumeAll resumes what an operator has suspended: the resumption may have come before, or been
// forgotten by a restore.
func (o *Orchestrator) resumeAll() {
	for _, ref := range o.refs() {
		if s, _ := o.Saga(ref); s.SuspendedBy != "" {
			o.tolerate(ref, o.Intervene(ref, o.resume()))
		}
	}
}

// tolerate holds an intervention's error against those that there are for operators.
func (o *Orchestrator) tolerate(ref saga.Ref, err error) {
	for _, expected := range []error{
		nil, errAway, saga.ErrUnknownSaga, saga.ErrEnded, saga.ErrNotWaiting, saga.ErrMoved, saga.ErrSuspended,
		saga.ErrNoEffect, saga.ErrCannotResolve, saga.ErrNoRestart, saga.ErrNoStep,
	} {
		if errors.Is(err, expected) {
			return
		}
	}
	o.w.Violation("saga %s: an intervention fails: %v", ref, err)
}
