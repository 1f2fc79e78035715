package sagasim

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Orchestration is what an orchestrator runs.
type Orchestration struct {
	// Releases are the sets of definitions that are deployed one after the other, each to one
	// instance at a time. The first is there from the beginning.
	Releases [][]*saga.Definition
	// Topics are what it reads.
	Topics []string
	// Instances share the work; 0 stands for two.
	Instances int
	// Encode makes a message of a command.
	Encode func(saga.Command) (Message, error)
	// Decode, if set, is what the engine is given of a message.
	Decode func(Message) saga.Message
	// Retention is how long a saga is kept after its end; 0 is for good.
	Retention time.Duration
	// Stuck, if set, says whether a saga that has not ended must not be expected to. That it shows
	// as one that needs a person is expected all the same.
	Stuck func(saga.State) bool
}

// Orchestrator is the real engine, on a model of its database, in several instances.
type Orchestrator struct {
	*Service
	with       Orchestration
	registries []*saga.Registry
	ledger     ledger
	coverage   *Coverage
}

// sagas is the orchestrator's database.
type sagas struct {
	states map[saga.Ref]saga.State
	unsent map[saga.Ref]bool          // their commands had not left when their deadlines came
	later  map[saga.Ref]time.Duration // when they are looked at again
}

// Handle implements [Database]; the orchestrator has a transaction of its own kind.
func (*sagas) Handle(Message, time.Time) ([]Message, error) { return nil, nil }

// Clone implements [Database].
func (s *sagas) Clone() Database {
	return &sagas{maps.Clone(s.states), maps.Clone(s.unsent), maps.Clone(s.later)}
}

// Orchestrate adds the orchestrator. It fails for releases whose definitions cannot be registered
// together.
func (w *World) Orchestrate(with Orchestration) (*Orchestrator, error) {
	if with.Instances == 0 {
		with.Instances = 2
	}
	if with.Decode == nil {
		with.Decode = func(m Message) saga.Message { return m.Message }
	}
	o := &Orchestrator{with: with, ledger: newLedger()}
	for _, release := range with.Releases {
		r, err := saga.NewRegistry(release...)
		if err != nil {
			return nil, err
		}
		o.registries = append(o.registries, r)
	}
	o.coverage = newCoverage(with.Releases)
	w.result.Coverage = o.coverage
	empty := &sagas{map[saga.Ref]saga.State{}, map[saga.Ref]bool{}, map[saga.Ref]time.Duration{}}
	o.Service = w.service("orchestrator", empty, with.Instances, with.Topics...)
	o.begin = o.decide
	o.OnRestore(o.restoredTo)
	w.orchestrator = o
	if with.Retention > 0 {
		w.Later(time.Minute, o.expire)
	}
	return o, nil
}

func (o *Orchestrator) db() *sagas { return o.store.db.(*sagas) }

// Saga returns a saga as it is.
func (o *Orchestrator) Saga(ref saga.Ref) (saga.State, bool) {
	s, ok := o.db().states[ref]
	return s, ok
}

// Forgotten says whether a saga ended so long ago that it was forgotten.
func (o *Orchestrator) Forgotten(ref saga.Ref) bool { return o.ledger.forgotten[ref] }

// Intervened says whether an operator changed the saga.
func (o *Orchestrator) Intervened(ref saga.Ref) bool { return o.ledger.interventions[ref].changed }

// Lost says what a restore of the orchestrator's database has forgotten of a saga that is not in
// any topic: deadlines that it acted on, and interventions.
func (o *Orchestrator) Lost(ref saga.Ref) (deadlines, interventions bool) {
	return o.ledger.lost[ref], o.ledger.interventions[ref].lost
}

// Forced is the end that an operator forced the saga into last; empty where nobody did.
func (o *Orchestrator) Forced(ref saga.Ref) string { return o.ledger.interventions[ref].forced }

// Resolved says whether an operator has said of a step of the saga what became of it, right or
// wrong: the services may disagree with it, and that has been declared.
func (o *Orchestrator) Resolved(ref saga.Ref) bool { return o.ledger.interventions[ref].resolved }

// registry is what an instance knows, and what of that is suspended as far as it knows.
func (o *Orchestrator) registry(i *instance) *saga.Registry {
	r := o.registries[i.release]
	r.Suspend(i.suspended...)
	return r
}

// exist are the sagas with a key.
func (o *Orchestrator) exist(key string) []saga.State {
	var found []saga.State
	last := ""
	for _, release := range o.with.Releases {
		for _, d := range release {
			if s, ok := o.db().states[saga.Ref{Definition: d.Name(), ID: key}]; ok && d.Name() != last {
				found, last = append(found, s), d.Name()
			}
		}
	}
	return found
}

// change is what a message or a deadline does to a saga.
type change struct {
	before   saga.State
	input    saga.Input
	decision saga.Decision
	at       time.Time
}

// transaction is a batch of messages that has been decided about.
type transaction struct {
	o         *Orchestrator
	registry  *saga.Registry
	exist     map[string][]saga.State // by key, as they are after the messages so far
	revisions map[saga.Ref]int        // as loaded
	changes   []change
	messages  []Message
	rejected  map[int]error
}

// decide loads the sagas of a batch and decides. What is decided is written a moment later, if
// nobody was faster.
func (o *Orchestrator) decide(i *instance, batch []delivery) func() bool {
	t := &transaction{
		o: o, registry: o.registry(i), exist: map[string][]saga.State{}, revisions: map[saga.Ref]int{},
		rejected: map[int]error{},
	}
	seen := map[uuid.UUID]bool{}
	for n, d := range batch {
		d.Message.Message = o.with.Decode(d.Message)
		_, known := o.store.inbox[d.ID]
		skip := !t.registry.Handles(d.Type) && d.CausationID == uuid.Nil
		d.fresh = !known && !seen[d.ID] && !o.store.aside[d.at] && !skip
		batch[n] = d
		if d.fresh {
			seen[d.ID] = true
			t.message(n, d)
			o.ledger.held[d.ID] = d.Message
		}
	}
	return func() bool { return t.commit(batch) }
}

func (t *transaction) message(n int, d delivery) {
	if t.o.w.wrong(t.o.w.mood.reject) {
		t.rejected[n] = errBroken
		return
	}
	if _, loaded := t.exist[d.Key]; !loaded {
		t.exist[d.Key] = t.o.exist(d.Key)
		for _, s := range t.exist[d.Key] {
			t.revisions[s.Ref()] = s.Revision
		}
	}
	exist := t.exist[d.Key]
	refs, err := t.o.route(t.registry, exist, d.Message.Message)
	if err == nil {
		err = t.applyAll(refs, d.Message.Message)
	}
	if errors.Is(err, saga.ErrUnknownSaga) && (!t.registry.Awaits(d.Type) || t.o.w.config.Bug == UnknownEventIsSkipped) {
		t.o.w.Tracef("orchestrator knows no saga for %s", d.Message)
		return
	}
	if err != nil {
		t.rejected[n] = err
	}
}

// applyAll lets the engine decide about a message for each saga that it is for. An error leaves
// nothing behind.
func (t *transaction) applyAll(refs []saga.Ref, m saga.Message) error {
	before, changes, messages := slices.Clone(t.exist[m.Key]), len(t.changes), len(t.messages)
	for _, ref := range refs {
		if err := t.apply(ref, m); err != nil {
			t.exist[m.Key], t.changes, t.messages = before, t.changes[:changes], t.messages[:messages]
			return err
		}
	}
	return nil
}

// apply lets the engine decide. An error leaves nothing behind.
func (t *transaction) apply(ref saga.Ref, in saga.Input) error {
	o := t.o
	list := t.exist[ref.ID]
	at := slices.IndexFunc(list, func(s saga.State) bool { return s.Definition == ref.Definition })
	var before saga.State
	if at >= 0 {
		before = list[at]
	}
	now := o.w.Clock()
	decisions, err := o.ask(t.registry, before, in, now)
	if err != nil {
		return err
	}
	var messages []Message
	for _, d := range decisions {
		for _, c := range d.Commands {
			m, err := o.with.Encode(c)
			if err != nil {
				return err
			}
			messages = append(messages, m)
		}
	}
	t.messages = append(t.messages, messages...)
	for _, d := range decisions {
		t.changes = append(t.changes, change{before, in, d, now})
		before = d.State
	}
	switch {
	case len(decisions) == 0:
	case at >= 0:
		list[at] = before
	default:
		t.exist[ref.ID] = append(list, before)
	}
	return nil
}

// commit writes what was decided, unless one of the messages or the sagas was in other hands since.
func (t *transaction) commit(batch []delivery) bool {
	o := t.o
	for _, d := range batch {
		if _, known := o.store.inbox[d.ID]; d.fresh && (known || o.store.aside[d.at]) {
			return false
		}
	}
	if o.w.config.Bug != NoRevisions && !t.upToDate() {
		o.w.Count(Conflicts)
		return false
	}
	for n, d := range batch {
		if !d.fresh {
			if known, ok := o.store.inbox[d.ID]; ok && known != d.digested() && !o.store.aside[d.at] {
				o.reject(d, errors.New("its id belongs to another message"))
				o.store.inbox[d.ID] = known
			}
			continue
		}
		o.store.inbox[d.ID] = d.digested()
		if reason, ok := t.rejected[n]; ok {
			o.reject(d, reason)
		}
	}
	t.write()
	return true
}

func (t *transaction) upToDate() bool {
	for _, c := range t.changes {
		ref := c.decision.State.Ref()
		if t.o.db().states[ref].Revision != t.revisions[ref] {
			return false
		}
	}
	return true
}

func (t *transaction) write() {
	o := t.o
	for _, c := range t.changes {
		ref := c.decision.State.Ref()
		o.db().states[ref] = c.decision.State
		delete(o.db().unsent, ref)
		delete(o.db().later, ref)
		for _, r := range c.decision.Refused {
			o.refused(r)
		}
		o.observe(c)
		if due, ok := c.decision.State.Deadline(); ok {
			o.w.At(due.Sub(Epoch), func() { o.due(ref) })
		}
	}
	o.publish(t.messages)
}

// refused sets a message aside that was held for a saga and that it cannot apply.
func (o *Orchestrator) refused(r saga.Refusal) {
	if o.w.config.Bug == HeldIsDropped {
		return
	}
	o.w.Count(DeadLettered)
	m := o.ledger.held[r.Message.ID]
	o.w.Tracef("orchestrator sets %s aside, which it had held: %v", m, r.Err)
	delete(o.store.inbox, m.ID)
	o.store.letters = append(o.store.letters, Letter{Message: m, Err: r.Err})
}
