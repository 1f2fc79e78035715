package sagasim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// inCircles is how often a command is sent before it has to show that nobody answers.
const inCircles = 40

// ledger is what the checks know besides the database: it does not go back with it.
type ledger struct {
	sent          map[uuid.UUID]command
	ids           map[command]uuid.UUID
	interventions map[saga.Ref]intervention
	acted         map[saga.Ref]time.Duration // the last deadline that was acted on
	lost          map[saga.Ref]bool          // such a one was forgotten by a restore
	forgotten     map[saga.Ref]bool
	circles       map[saga.Ref]bool
	held          map[uuid.UUID]Message // what may be held for a saga
}

// command is what an id of a command stands for.
type command struct {
	ref     saga.Ref
	step    string
	undo    bool
	attempt int
}

type intervention struct {
	at            time.Duration
	changed, lost bool
	forced        string
	resolved      bool
}

func newLedger() ledger {
	return ledger{
		sent: map[uuid.UUID]command{}, ids: map[command]uuid.UUID{}, interventions: map[saga.Ref]intervention{},
		acted: map[saga.Ref]time.Duration{}, lost: map[saga.Ref]bool{},
		forgotten: map[saga.Ref]bool{}, circles: map[saga.Ref]bool{}, held: map[uuid.UUID]Message{},
	}
}

// refs are the sagas, in a fixed order.
func (o *Orchestrator) refs() []saga.Ref {
	return slices.SortedFunc(maps.Keys(o.db().states), byRef)
}

func byRef(a, b saga.Ref) int {
	return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Definition, b.Definition))
}

// observe holds each decision, when it is committed, against what has to be true of it.
func (o *Orchestrator) observe(c change) {
	d := c.decision
	ref, t := d.State.Ref(), d.Transition
	o.w.Tracef("saga %s: %s %s %s → %s %s", ref, t.Kind, t.Step, t.From, t.To, t.Note)
	o.coverage.take(c.before, d.State, t)
	if t.Seq != c.before.Revision+1 {
		o.w.Violation("saga %s: line %d of its history follows line %d", ref, t.Seq, c.before.Revision)
	}
	o.count(c)
	o.observeCommands(ref, d.Commands)
	if t.Kind == saga.TimedOut {
		o.observeTimeout(c)
	}
	o.observeRefusal(c)
	o.observeUndos(d.State)
	if c.before.Phase.Ended() && d.State.Phase == saga.Suspended {
		o.w.Violation("saga %s: had ended, and is suspended", ref)
	}
	if d.State.Trouble() == "" && !d.State.Phase.Ended() && !o.ledger.circles[ref] && slices.ContainsFunc(d.State.Steps, circling) {
		o.ledger.circles[ref] = true
		o.w.Violation("saga %s: goes round in circles, and does not show", ref)
	}
}

// observeRefusal checks that a cancellation that is refused changes nothing.
func (o *Orchestrator) observeRefusal(c change) {
	d := c.decision
	if _, forced := c.input.(saga.Force); forced || !d.State.CancelRefused || c.before.CancelRefused {
		return // forcing a saga to its completed end refuses what was asked before
	}
	same := slices.EqualFunc(c.before.Steps, d.State.Steps, func(a, b saga.StepState) bool { return a.Status == b.Status })
	if !d.State.Phase.Ended() || !same || slices.ContainsFunc(d.Commands, func(c saga.Command) bool { return c.Step != "" }) {
		o.w.Violation("saga %s: a cancellation was refused, and it is %s", d.State.Ref(), d.Transition.To)
	}
}

// observeUndos checks that no step that is done waits with its undo for nobody: neither for one
// that was given up, nor for one whose attempts are used up.
func (o *Orchestrator) observeUndos(s saga.State) {
	def, ok := o.coverage.find(s)
	if !ok || s.Phase != saga.Compensating && s.Phase != saga.CompensationStuck {
		return
	}
	undo := map[string]bool{}
	for _, stage := range o.coverage.described[def].Stages {
		for _, step := range stage {
			undo[step.Name] = step.Undo != nil
		}
	}
	for i, st := range slices.Backward(s.Steps) {
		switch {
		case st.Status == saga.Waiting, st.Status == saga.Undoing && !st.Unconfirmed && !st.Stuck:
			return
		case st.Status == saga.Done && undo[def.StepNames()[i]]:
			o.w.Violation("saga %s: the undo of %s waits for nobody", s.Ref(), def.StepNames()[i])
			return
		}
	}
}

// circling says whether a step has asked and asked.
func circling(st saga.StepState) bool {
	return st.Status == saga.Waiting && st.Attempt-st.Budget > inCircles || st.Status == saga.Undoing && st.Undo-st.Budget > inCircles
}

// observeCommands checks that an id stands for one command of one saga, and each command has one
// id. After a restore, or by another saga under the id of one that was forgotten, the same may be
// sent again.
func (o *Orchestrator) observeCommands(ref saga.Ref, commands []saga.Command) {
	again := o.Restored() || o.ledger.forgotten[ref]
	for _, c := range commands {
		if c.Step == "" {
			continue
		}
		is := command{ref, c.Step, c.Undo, c.Attempt}
		was, known := o.ledger.sent[c.ID]
		if known && (was != is || !again) {
			o.w.Violation("saga %s: two commands have the id %s: %v and %v", ref, c.ID, was, is)
		}
		if id, ok := o.ledger.ids[is]; ok && id != c.ID && !again {
			o.w.Violation("saga %s: attempt %d of %s was sent twice", ref, c.Attempt, c.Step)
		}
		o.ledger.sent[c.ID], o.ledger.ids[is] = is, c.ID
	}
}

// observeTimeout checks that nobody is called silent who was not asked, or has answered in time.
func (o *Orchestrator) observeTimeout(c change) {
	t := c.decision.Transition
	d, ok := o.coverage.find(c.before)
	if !ok || t.Step == "" {
		return
	}
	st := c.before.Steps[slices.Index(d.StepNames(), t.Step)]
	sent := st.Sent
	if st.Status == saga.Undoing {
		sent = st.UndoSent
	}
	if len(sent) == 0 {
		return
	}
	id := sent[len(sent)-1]
	if len(o.unsent([]uuid.UUID{id})) > 0 {
		o.w.Violation("saga %s: %s is overdue, and its command has not left", c.before.Ref(), t.Step)
	}
	for _, l := range o.lanes {
		for at := o.store.positions[l]; at < len(l.log()); at++ {
			r := l.log()[at]
			if (r.CausationID == id || r.InReplyTo == id) && !Epoch.Add(r.at).After(st.Deadline) {
				o.w.Violation("saga %s: %s is overdue, and %s had come before the deadline", c.before.Ref(), t.Step, r.Type)
			}
		}
	}
}

func (o *Orchestrator) count(c change) {
	d, w := c.decision, o.w
	switch d.Transition.Kind {
	case saga.TimedOut:
		o.ledger.acted[d.State.Ref()] = w.now
		if strings.HasSuffix(d.Transition.Note, "given up") {
			w.Count(GivenUp)
		} else {
			w.Count(Retries)
		}
	case saga.LateSuccess:
		w.Count(LateSuccesses)
	case saga.StaleReply:
		w.Count(Stale)
	case saga.HeldMessage:
		w.Count(HeldMessages)
	case saga.SuspendedSaga:
		w.Count(SuspendedSagas)
	case saga.CancelRequested:
		w.Count(CancelRequests)
	case saga.Intervened:
		o.intervened(c)
	case saga.Started, saga.Replied, saga.TimePassed, saga.Postponed, saga.Resumed:
	}
	if d.State.CancelRefused && !c.before.CancelRefused {
		w.Count(CancelRefusals)
	}
}

func (o *Orchestrator) intervened(c change) {
	ref := c.decision.State.Ref()
	i := o.ledger.interventions[ref]
	i.at, i.changed = o.w.now, true
	if f, ok := c.input.(saga.Force); ok && !c.before.Phase.Ended() {
		i.forced = f.End
	}
	if _, ok := c.input.(saga.Resolve); ok {
		i.resolved = true
	}
	o.ledger.interventions[ref] = i
}

// restoredTo notes which interventions the database has forgotten.
func (o *Orchestrator) restoredTo() {
	for ref, i := range o.ledger.interventions {
		if i.at >= o.backupAt {
			i.lost = true
			o.ledger.interventions[ref] = i
		}
	}
	for ref, at := range o.ledger.acted {
		if at >= o.backupAt {
			o.ledger.lost[ref] = true
		}
	}
	for _, ref := range o.refs() {
		if due, ok := o.db().states[ref].Deadline(); ok {
			o.w.At(due.Sub(Epoch), func() { o.due(ref) })
		}
	}
}

// check looks at the sagas when everything has come to rest.
func (o *Orchestrator) check() {
	for _, ref := range o.refs() {
		s, _ := o.Saga(ref)
		switch {
		case len(s.Held) > 0:
			o.w.Violation("saga %s: %d messages are still held", ref, len(s.Held))
		case s.Phase.Ended():
		case s.Trouble() == "":
			o.w.Violation("saga %s: has not ended, it is %s, and does not show as stuck", ref, s.Phase)
		case o.with.Stuck == nil || !o.with.Stuck(s):
			o.w.Violation("saga %s: has not ended, it is %s: %s", ref, s.Phase, s.Trouble())
		}
	}
}
