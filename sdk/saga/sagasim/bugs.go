package sagasim

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Bug names a safeguard that is taken out.
type Bug string

// The bugs of the engine and of what is around it. Each was one once, or would be easy to make.
const (
	NoBug Bug = ""
	// OffsetFirst commits offsets before effects, so that a crash loses messages.
	OffsetFirst Bug = "offset-first"
	// OffsetsInKafkaOnly does not keep positions with the effects, so that a restore loses
	// messages.
	OffsetsInKafkaOnly Bug = "offsets-in-kafka-only"
	// PositionGoesBack lets a process that was considered dead put a position back that another has
	// written.
	PositionGoesBack Bug = "position-goes-back"
	// RejectedIsHandled remembers a dead letter under its own id, so that redriving it does
	// nothing.
	RejectedIsHandled Bug = "rejected-is-handled"
	// NoRevisions lets two that decide about one saga at once overwrite one another.
	NoRevisions Bug = "no-revisions"
	// DeadlineBeforeReads acts on a deadline while the reply waits to be read.
	DeadlineBeforeReads Bug = "deadline-before-reads"
	// DeadlineBeforeSent counts an attempt whose command has not left.
	DeadlineBeforeSent Bug = "deadline-before-sent"
	// LateSuccessIsForgotten does not undo a success that comes too late.
	LateSuccessIsForgotten Bug = "late-reply-is-forgotten"
	// HeldIsDropped loses what was held for a saga whose version was not known.
	HeldIsDropped Bug = "held-is-dropped"
	// EarlyCancelEnds makes a cancelled saga of a cancellation that finds none.
	EarlyCancelEnds Bug = "early-cancel-ends"
	// EarlyCancelIsLost ignores a cancellation that finds no saga.
	EarlyCancelIsLost Bug = "early-cancel-is-lost"
	// EarlyReplyIsLost ignores a reply that, after a restore, is read again before the start of its
	// saga is.
	EarlyReplyIsLost Bug = "early-reply-is-lost"
	// OldStartIsLost starts sagas of the newest version only.
	OldStartIsLost Bug = "old-start-is-lost"
	// ConflictIsStale ignores a start of a saga that another message has started.
	ConflictIsStale Bug = "conflict-is-stale"
	// AlreadyDoneIsNotUndone considers such a step done only when its turn comes.
	AlreadyDoneIsNotUndone Bug = "already-done-is-not-undone"
	// EndedIsForced lets an operator force a saga that has ended, with nothing sent.
	EndedIsForced Bug = "ended-is-forced"
	// StuckIsInvisible does not say that a command has used up its attempts.
	StuckIsInvisible Bug = "stuck-is-invisible"
	// StuckHolds lets an undo that has used up its attempts hold up the undos of other steps.
	StuckHolds Bug = "stuck-holds"
	// EndedIsSuspended suspends a saga that has ended when a message comes for it and its version
	// is not known.
	EndedIsSuspended Bug = "ended-is-suspended"
	// EarlyEventIsStale ignores an event that comes before the turn of the step that awaits it.
	EarlyEventIsStale Bug = "early-event-is-stale"
	// UnknownEventIsSkipped ignores an event whose saga has not begun.
	UnknownEventIsSkipped Bug = "unknown-event-is-skipped"
	// NullIsNotBegun considers a saga whose data is null one that has not begun.
	NullIsNotBegun Bug = "null-is-not-begun"
)

// Bugs are all of them.
func Bugs() []Bug {
	return []Bug{
		OffsetFirst, OffsetsInKafkaOnly, PositionGoesBack, RejectedIsHandled, NoRevisions, DeadlineBeforeReads, DeadlineBeforeSent,
		LateSuccessIsForgotten, HeldIsDropped, EarlyCancelEnds, EarlyCancelIsLost, EarlyReplyIsLost, OldStartIsLost, ConflictIsStale,
		AlreadyDoneIsNotUndone, EndedIsForced, StuckIsInvisible, StuckHolds, EndedIsSuspended, NullIsNotBegun,
		EarlyEventIsStale, UnknownEventIsSkipped,
	}
}

// route is [saga.Registry.Route], with the planted bug.
func (o *Orchestrator) route(r *saga.Registry, exist []saga.State, m saga.Message) ([]saga.Ref, error) {
	if o.w.config.Bug == EarlyCancelIsLost && len(exist) == 0 && o.cancels(m.Type) {
		return nil, saga.ErrUnknownSaga
	}
	if o.w.config.Bug == EarlyReplyIsLost && len(exist) == 0 && m.CausationID != uuid.Nil {
		return nil, saga.ErrUnknownSaga
	}
	return r.Route(exist, m)
}

func (o *Orchestrator) cancels(messageType string) bool { return o.beginning(messageType, false) }
func (o *Orchestrator) starts(messageType string) bool  { return o.beginning(messageType, true) }

func (o *Orchestrator) beginning(messageType string, start bool) bool {
	for _, release := range o.with.Releases {
		for _, d := range release {
			if b := o.coverage.described[d]; start && b.StartOn == messageType || !start && b.CancelOn == messageType {
				return true
			}
		}
	}
	return false
}

// ask is [saga.Registry.Apply], with the planted bug around it.
func (o *Orchestrator) ask(r *saga.Registry, s saga.State, in saga.Input, now time.Time) ([]saga.Decision, error) {
	bug := o.w.config.Bug
	if bug == NoBug {
		return r.Apply(s, in, now)
	}
	m, isMessage := in.(saga.Message)
	force, forces := in.(saga.Force)
	switch {
	case bug == OldStartIsLost && isMessage && !s.Exists() && o.starts(m.Type):
		for _, d := range r.Definitions() {
			newest, _ := r.Definition(d.Name(), 0)
			if o.coverage.described[d].StartOn == m.Type && o.coverage.described[newest].StartOn != m.Type {
				return nil, saga.ErrUnknownSaga
			}
		}
	case bug == EarlyEventIsStale && isMessage && s.Phase == saga.Running && o.comesEarly(s, m):
		return nil, nil
	case bug == NullIsNotBegun && isMessage && string(s.Data) == "null" && o.starts(m.Type):
		s.Phase = saga.AwaitingStart
	case bug == EndedIsSuspended && isMessage && s.Phase.Ended():
		if _, known := r.Definition(s.Definition, s.Version); !known {
			return []saga.Decision{suspended(s, m, now)}, nil
		}
	case bug == EndedIsForced && forces && s.Phase.Ended():
		return []saga.Decision{forced(s, force, now)}, nil
	case bug == HeldIsDropped && len(s.Held) > 0:
		if _, known := r.Definition(s.Definition, s.Version); known {
			s.Held = nil
			if s.Phase == saga.Suspended {
				s.Phase, s.SuspendedFrom = s.SuspendedFrom, ""
			}
		}
	case bug == AlreadyDoneIsNotUndone && s.Exists():
		s = o.giveInTurn(r, s, in)
	}
	decisions, err := r.Apply(s, in, now)
	if bug == ConflictIsStale && errors.Is(err, saga.ErrStartConflict) {
		return nil, nil
	}
	for i := range decisions {
		if decisions[i].Transition.Kind == saga.LateSuccess && bug == LateSuccessIsForgotten {
			return nil, nil
		}
		o.spoilDecision(r, s, &decisions[i], now)
	}
	return decisions, err
}

func (o *Orchestrator) spoilDecision(r *saga.Registry, before saga.State, d *saga.Decision, now time.Time) {
	switch o.w.config.Bug {
	case EarlyCancelEnds:
		if d.State.Phase == saga.AwaitingStart {
			d.State.Phase, d.State.StartBy, d.State.EndedAt = saga.Cancelled, time.Time{}, now
		}
	case StuckIsInvisible:
		steps := append([]saga.StepState(nil), d.State.Steps...)
		for i := range steps {
			steps[i].Stuck = false
		}
		d.State.Steps = steps
		if d.State.Phase == saga.CompensationStuck {
			d.State.Phase = saga.Compensating
		}
	case StuckHolds:
		o.holdUp(before, d)
	case AlreadyDoneIsNotUndone:
		if d.Transition.Kind == saga.Started {
			d.State.Steps = o.givenLater(r, d.State)
		}
	default:
	}
}

// comesEarly says whether a message is an event for a step whose turn has not come.
func (o *Orchestrator) comesEarly(s saga.State, m saga.Message) bool {
	def, ok := o.coverage.find(s)
	if !ok {
		return false
	}
	i := 0
	for _, stage := range o.coverage.described[def].Stages {
		for _, step := range stage {
			if step.Does == saga.Awaits && slices.Contains(step.Success, m.Type) && s.Steps[i].Status == saga.Idle {
				return true
			}
			i++
		}
	}
	return false
}

// holdUp takes undos back that were sent while that of a later step is stuck.
func (o *Orchestrator) holdUp(before saga.State, d *saga.Decision) {
	def, ok := o.coverage.find(d.State)
	if !ok || len(before.Steps) != len(d.State.Steps) {
		return
	}
	names, stuck := def.StepNames(), false
	d.State.Steps = slices.Clone(d.State.Steps)
	for i, st := range slices.Backward(d.State.Steps) {
		if stuck && before.Steps[i].Status == saga.Done && st.Status == saga.Undoing {
			d.State.Steps[i] = before.Steps[i]
			d.Commands = slices.DeleteFunc(slices.Clone(d.Commands), func(c saga.Command) bool { return c.Undo && c.Step == names[i] })
		}
		stuck = stuck || st.Stuck
	}
}

// suspended is what became of a saga that had ended when a message came for it.
func suspended(s saga.State, m saga.Message, now time.Time) saga.Decision {
	next := s
	next.SuspendedFrom, next.Phase, next.Revision = s.Phase, saga.Suspended, s.Revision+1
	next.Held = append(slices.Clone(s.Held), m)
	return saga.Decision{State: next, Transition: saga.Transition{
		Seq: next.Revision, Kind: saga.SuspendedSaga, At: now, From: string(s.Phase), To: string(next.Phase), Cause: saga.Cause{Type: m.Type},
	}}
}

// givenLater makes the given steps behind the first stage wait for their turn.
func (o *Orchestrator) givenLater(r *saga.Registry, s saga.State) []saga.StepState {
	steps := append([]saga.StepState(nil), s.Steps...)
	d, _ := r.Definition(s.Definition, s.Version)
	i := 0
	for stage, described := range o.coverage.described[d].Stages {
		for _, step := range described {
			if step.AlreadyDone != "" && stage > 0 && steps[i].Status == saga.Done {
				steps[i].Status = saga.Idle
			}
			i++
		}
	}
	return steps
}

// giveInTurn makes them done when a reply ends the stage before them.
func (o *Orchestrator) giveInTurn(r *saga.Registry, s saga.State, in saga.Input) saga.State {
	m, ok := in.(saga.Message)
	d, known := r.Definition(s.Definition, s.Version)
	if !ok || !known {
		return s
	}
	steps, i := append([]saga.StepState(nil), s.Steps...), 0
	var success bool
	for _, described := range o.coverage.described[d].Stages {
		for _, step := range described {
			for _, reply := range step.Success {
				success = success || reply == m.Type && steps[i].Status == saga.Waiting && s.Phase == saga.Running
			}
			if step.AlreadyDone != "" && steps[i].Status == saga.Idle && success {
				steps[i].Status = saga.Done
			}
			i++
		}
	}
	s.Steps = steps
	return s
}

// forced is what forcing a saga did that had ended.
func forced(s saga.State, in saga.Force, now time.Time) saga.Decision {
	next := s
	next.Steps = append([]saga.StepState(nil), s.Steps...)
	next.Phase, next.EndedAt, next.Revision = saga.Cancelled, now, s.Revision+1
	if in.End != "CANCELLED" {
		next.Phase = saga.Completed
	}
	for i := range next.Steps {
		if next.Steps[i].Status == saga.Done {
			next.Steps[i].Status = saga.Abandoned
		}
	}
	return saga.Decision{State: next, Transition: saga.Transition{
		Seq: next.Revision, Kind: saga.Intervened, At: now, From: string(s.Phase), To: string(next.Phase), Cause: saga.Cause{ID: uuid.Nil, Type: "force"},
	}}
}
