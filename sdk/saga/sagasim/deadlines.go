package sagasim

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

const (
	// unclaimed is how long a saga of an unknown definition may be overdue before it is suspended.
	unclaimed = time.Minute
	// lookAgain is when a saga whose commands have not left is looked at again.
	lookAgain = 15 * time.Second
)

// due is the poller: some instance looks at a saga whose deadline has passed.
func (o *Orchestrator) due(ref saga.Ref) {
	w, db := o.w, o.db()
	again := func(wait time.Duration) { w.Later(wait, func() { o.due(ref) }) }
	s, exists := o.Saga(ref)
	deadline, waits := s.Deadline()
	if !exists || s.SuspendedBy != "" || s.Phase != saga.Suspended && (!waits || deadline.After(w.Clock())) {
		return
	}
	if w.now < db.later[ref] {
		return // another instance has looked, and comes again
	}
	i, known := o.poller(s)
	switch {
	case i == nil:
		again(time.Second)
		return
	case known:
	case s.Phase == saga.Suspended:
		return // a deployment wakes it
	case w.Clock().Before(deadline.Add(unclaimed)):
		again(200 * time.Millisecond)
		return
	}
	if w.wrong(w.mood.crash) {
		w.Count(CrashesBefore)
		o.crash(i, w.Within(3*time.Second))
		again(time.Second)
		return
	}
	by := o.readUntil(ref.ID)
	if w.config.Bug == DeadlineBeforeReads {
		by = w.Clock()
	}
	if deadline.After(by) && s.Phase != saga.Suspended {
		again(time.Second) // what came before the deadline has not been read
		return
	}
	unsent := o.unsent(s.Overdue(by))
	if w.config.Bug == DeadlineBeforeSent {
		unsent = nil
	}
	if err := o.act(i, ref, saga.Due{By: by, Unsent: unsent, Restart: db.unsent[ref]}); err != nil {
		w.Violation("saga %s: its deadline cannot be acted on: %v", ref, err)
		return
	}
	if len(unsent) > 0 {
		w.Count(Unsent)
		db.unsent[ref], db.later[ref] = true, w.now+lookAgain
		again(lookAgain)
	}
}

// poller picks an instance that runs, one that knows the saga's definition if there is one.
func (o *Orchestrator) poller(s saga.State) (i *instance, known bool) {
	first := o.up()
	for n := range o.instances {
		if first == nil {
			break
		}
		i := o.instances[(first.index+n)%len(o.instances)]
		if _, known := o.registry(i).Definition(s.Definition, s.Version); known && i.away <= o.w.now && !i.suspends(s) {
			return i, true
		}
	}
	return first, false
}

// suspends says whether the saga's version is suspended, as far as the instance knows.
func (i *instance) suspends(s saga.State) bool {
	return slices.ContainsFunc(i.suspended, func(by saga.Suspension) bool {
		return by.Definition == s.Definition && by.Version == s.Version
	})
}

// readUntil is up to when the orchestrator has read all that came for a key.
func (o *Orchestrator) readUntil(key string) time.Time {
	until := o.w.Clock()
	for _, l := range o.lanes {
		if at := o.store.positions[l]; l.partition == partitionOf(key) && at < len(l.log()) {
			if unread := Epoch.Add(l.log()[at].at - 1); unread.Before(until) {
				until = unread
			}
		}
	}
	return until
}

// unsent are those of the commands that are still in the outbox.
func (o *Orchestrator) unsent(ids []uuid.UUID) []uuid.UUID {
	var found []uuid.UUID
	for _, m := range o.store.outbox[o.store.cursor:] {
		if slices.Contains(ids, m.ID) {
			found = append(found, m.ID)
		}
	}
	return found
}

// act applies what is not a message, in a transaction of its own.
func (o *Orchestrator) act(i *instance, ref saga.Ref, in saga.Input) error {
	t := &transaction{o: o, registry: o.registry(i), exist: map[string][]saga.State{ref.ID: o.exist(ref.ID)}}
	if err := t.apply(ref, in); err != nil {
		return err
	}
	t.write()
	return nil
}

// expire forgets sagas that ended long ago.
func (o *Orchestrator) expire() {
	for ref, s := range o.db().states {
		if s.Phase.Ended() && len(s.Held) == 0 && o.w.Clock().Sub(s.EndedAt) > o.with.Retention {
			delete(o.db().states, ref)
			o.ledger.forgotten[ref] = true
			o.w.Count(Forgotten)
		}
	}
	o.w.Later(time.Minute, o.expire)
}

// Deploy puts a release on one instance after the other.
func (o *Orchestrator) Deploy(release int) {
	wait := time.Duration(0)
	for _, i := range o.instances {
		o.w.Later(wait, func() {
			o.w.Count(Deploys)
			o.w.Tracef("orchestrator %d is replaced: release %d", i.index, release)
			o.crash(i, o.w.Within(3*time.Second))
			i.release = release
			o.w.At(i.away, o.wakeSuspended)
		})
		wait += o.w.Within(2 * time.Minute)
	}
}

// wakeSuspended lets the suspended sagas go on whose definition an instance knows now.
func (o *Orchestrator) wakeSuspended() {
	for _, ref := range o.refs() {
		if s, _ := o.Saga(ref); s.Phase == saga.Suspended {
			o.due(ref)
		}
	}
}

// Intervene is what an operator does to a saga. The errors are the engine's.
func (o *Orchestrator) Intervene(ref saga.Ref, in saga.Input) error {
	i := o.up()
	if i == nil {
		return errAway
	}
	if _, exists := o.Saga(ref); !exists {
		return saga.ErrUnknownSaga
	}
	o.w.Count(Interventions)
	return o.act(i, ref, in)
}

var errAway = errors.New("no orchestrator runs")
