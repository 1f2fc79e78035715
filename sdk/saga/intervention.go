package saga

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Intervention is an input that an operator made of what they saw: [RetryNow], [Cancel], [Resolve],
// [SkipWait], [EditData], [Suspend], [Resume], [RestartFrom], [Force], [MoveDeadline] or
// [RevokeDeadline]. [Request] is one as data. Each is one transition, which names the operator and
// the reason; one that would change nothing is refused with [ErrNoEffect].
type Intervention interface {
	Input
	// Intervener is who intervenes, and why.
	Intervener() Operator
}

// Operator is who intervenes, and why; both are kept in the transition.
type Operator struct {
	ID     uuid.UUID // of the request, so that it can be found again
	Actor  string
	Reason string
	// Seen is the revision that the operator looked at: a saga that has moved on
	// since is left alone ([ErrMoved]). Zero is any.
	Seen int
}

// Intervener implements [Intervention].
func (o Operator) Intervener() Operator { return o }

// RetryNow sends the commands of the saga's waits again at once, and gives
// them all their attempts again. Step limits it to one step; empty is all.
type RetryNow struct {
	Operator
	Step string
}

// Cancel undoes a saga, however long ago it completed.
type Cancel struct {
	Operator
}

// Resolve settles one step by the operator's word, as if its participant had said it, and lets the
// saga go on.
//
//   - As [Done], a step that waits succeeded. Where its reply brings something that later steps
//     need, Data is the reply's body.
//   - As [Failed], a step that waits was refused, or there is nothing for its undo to take back.
//   - As [Undone], what the step did was taken back by hand: it is undone no more. A saga that goes
//     forward turns back.
//
// To say what is not so makes the services disagree; a success that comes later than a step
// was resolved as failed or undone is undone all the same.
type Resolve struct {
	Operator
	Step string
	As   StepStatus
	// Reply is the type of the reply that the operator stands in for; empty is the first that says
	// so.
	Reply string
	// Data is its body, as JSON; empty is none.
	Data json.RawMessage
}

// SkipWait ends what the saga waits for now: a time that it lets pass is over, an event is awaited
// no longer and the saga goes on without it, and the wait for the reply to a command is over as if
// its deadline had come: the command is sent again, or, after the last attempt, the step is given
// up. Step says which wait, where there are several.
type SkipWait struct {
	Operator
	Step string
}

// EditData changes the saga's data by a JSON merge patch (RFC 7396). What comes of it must be data
// of the definition's type, without fields that the type does not have. Commands that are sent from
// then on are made of it; conditions that were asked before are not asked again, except by
// [RestartFrom].
type EditData struct {
	Operator
	Patch json.RawMessage
}

// Suspend has the saga do nothing until it is resumed: messages for it are held, in order, and its
// deadlines do not pass. What was sent before is on its way.
type Suspend struct {
	Operator
}

// Resume lets a saga that an operator suspended go on: first with the messages that were held, in
// order. The time that it was suspended does not count for its deadlines.
type Resume struct {
	Operator
}

// RestartFrom lets the saga go forward again from a step that was not done. That step, and those
// behind it that are not done, are carried out as if their turn had come now: conditions are asked
// again, commands are sent with all their attempts. What is done stays done and is not sent again;
// nothing is undone first. It is refused ([ErrNoRestart]) where that cannot be: a step before it is
// not done, a step from there on has been undone or is being undone (a participant that has undone
// something for a saga does not do it again for the same one), or a cancellation was asked for.
type RestartFrom struct {
	Operator
	Step string
}

// Force ends a saga that has not ended in one of its definition's two ends, at
// once. It is for what was settled by hand: nothing is waited for any more. The
// cancelled end sends the undo of all that was done or may have been, the
// completed end the commands of the steps without an undo, so that one who only
// has to be notified of the end is notified.
type Force struct {
	Operator
	End string
}

// MoveDeadline lets a step's wait end at another time, or, where Step is empty, the saga have until
// another time to complete.
type MoveDeadline struct {
	Operator
	Step string
	To   time.Time
}

// RevokeDeadline lets a step wait for its reply or event alone, or, where Step is empty, the saga
// take as long as it takes. A step that lets time pass waits for nothing else: its deadline cannot
// be revoked.
type RevokeDeadline struct {
	Operator
	Step string
}

func (o Operator) by(a Action) Cause  { return Cause{ID: o.ID, Type: string(a), Actor: o.Actor} }
func (i RetryNow) cause() Cause       { return i.by(ActRetry) }
func (i Cancel) cause() Cause         { return i.by(ActCancel) }
func (i Resolve) cause() Cause        { return i.by(ActResolve) }
func (i SkipWait) cause() Cause       { return i.by(ActSkipWait) }
func (i EditData) cause() Cause       { return i.by(ActEditData) }
func (i Suspend) cause() Cause        { return i.by(ActSuspend) }
func (i Resume) cause() Cause         { return i.by(ActResume) }
func (i RestartFrom) cause() Cause    { return i.by(ActRestartFrom) }
func (i Force) cause() Cause          { return i.by(ActForce) }
func (i MoveDeadline) cause() Cause   { return i.by(ActMoveDeadline) }
func (i RevokeDeadline) cause() Cause { return i.by(ActRevokeDeadline) }

// checked is an intervention whose revision has been compared already.
type checked struct{ Intervention }
