package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/shell"
	"waybill.example/sdk/saga"
)

// Own is the name of the orchestrator's own database among the sources.
const Own = "orchestrator"

// The states of an order without a saga: it has none yet, or none any more.
const (
	NotStarted = "NOT_STARTED"
	NotKept    = "NOT_KEPT"
)

// Diagnose turns what was found into an answer. It is pure.
func Diagnose(s Story) Explanation {
	e := Explanation{ID: s.ID, ExplainedAt: s.Now, Timeline: s.timeline(), Sources: []SourceState{}}
	for _, f := range s.Sources {
		state := SourceState{Name: f.Name}
		if f.Err != nil {
			state.Error = f.Err.Error()
		}
		e.Sources = append(e.Sources, state)
	}
	switch {
	case s.Saga == nil && s.became() != "":
		s.notKept(&e)
	case s.Saga == nil:
		s.notStarted(&e)
	case s.Saga.Phase == saga.Suspended:
		s.suspended(&e)
	default:
		s.running(&e)
	}
	s.deadLetters(&e)
	e.Obstacles, e.Advice = distinct(e.Obstacles), distinct(e.Advice)
	return e
}

// distinct drops what is said already: two commands that wait for one relay wait for one reason.
func distinct(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !slices.Contains(kept, line) {
			kept = append(kept, line)
		}
	}
	return kept
}

// became is what the order's own service says became of it; empty while it is open, or where nobody knows.
func (s Story) became() string {
	for _, f := range s.Sources {
		for _, fact := range f.Facts {
			if f.Name == s.keeper() && fact.Kind == became {
				return fact.What
			}
		}
	}
	return ""
}

// open reports whether the order's own service says that it has not ended.
func (s Story) open() bool {
	return s.keeper() != "" && s.became() == ""
}

// keeper is the source that has the order itself.
func (s Story) keeper() string {
	for _, f := range s.Sources {
		if slices.ContainsFunc(f.Facts, func(fact Fact) bool { return fact.Kind == accepted }) {
			return f.Name
		}
	}
	return ""
}

// notKept explains an order that was decided and whose saga is gone: sagas are kept for SAGA_RETENTION.
func (s Story) notKept(e *Explanation) {
	e.State = NotKept
	e.Summary = "No saga is kept for it any more, or none was ever needed: the " + s.became() + "."
	e.Next = []string{"Nothing: it has ended."}
}

// notStarted explains an order whose first message has not reached the orchestrator.
func (s Story) notStarted(e *Explanation) {
	e.State = NotStarted
	e.Summary = "No saga has begun: the message that starts it has not been handled here."
	for _, f := range s.Sources {
		if f.Name == Own || len(f.Sent) == 0 {
			continue
		}
		e.Obstacles = append(e.Obstacles, s.whereIs(f, f.Sent[0], Own, e))
		e.Next = []string{fmt.Sprintf("The saga begins as soon as the orchestrator handles %s.", f.Sent[0].Type)}
	}
	if len(e.Obstacles) == 0 {
		e.Obstacles = []string{"No source that could be asked has sent anything for it."}
		e.Next = []string{"Nothing, until the message that starts the saga comes."}
	}
}

func (s Story) suspended(e *Explanation) {
	st := s.Saga
	e.State = string(saga.Suspended)
	e.Summary = fmt.Sprintf("Suspended since %s: definition %s version %d is not registered with the orchestrator. %d messages are held for it.",
		ago(s.Now, st.UpdatedAt), st.Definition, st.Version, len(st.Held))
	e.Next = []string{"It goes on with what is held as soon as an orchestrator that knows the version runs."}
	e.Advice = []string{fmt.Sprintf("Run a release that registers %s version %d, or end the saga by hand once it does.", st.Definition, st.Version)}
}

func (s Story) running(e *Explanation) {
	st := *s.Saga
	def, ok := s.Registry.Definition(st.Definition, st.Version)
	e.State = s.Registry.StateName(st)
	if !ok {
		e.Summary = fmt.Sprintf("It is %s; definition %s version %d is not registered here, so no more can be said.", e.State, st.Definition, st.Version)
		return
	}
	if st.Phase.Ended() {
		e.Summary = fmt.Sprintf("%s, %s after it began.", e.State, round(st.EndedAt.Sub(st.StartedAt)))
		if st.Reason != "" {
			e.Summary = fmt.Sprintf("%s, %s after it began: %s.", e.State, round(st.EndedAt.Sub(st.StartedAt)), st.Reason)
		}
		s.ended(e)
		return
	}
	e.Waits = def.Waits(st)
	if st.Phase == saga.AwaitingStart {
		s.awaitingStart(e)
		return
	}
	var parts []string
	if st.Phase != saga.Running {
		parts = append(parts, fmt.Sprintf("Is being undone (%s).", st.Reason))
	}
	for _, w := range e.Waits {
		parts = append(parts, s.waiting(w))
		e.Obstacles = append(e.Obstacles, s.obstacle(w, e))
		e.Next = append(e.Next, next(s.Now, w, st.Phase, def))
	}
	if _, cancelled := def.Ends(); st.Phase == saga.CompensationStuck {
		e.advise("once the participant is well", "orchestrator", "saga", "retry", "--reason=participant is well", "--", s.ID)
		e.advise("if it was settled by hand", "orchestrator", "saga", "force", "--reason=settled by hand", "--", s.ID, cancelled)
	}
	e.Summary = strings.Join(parts, " ")
}

// awaitingStart explains a saga that was cancelled before the message that starts it came.
func (s Story) awaitingStart(e *Explanation) {
	e.Summary = fmt.Sprintf("A cancellation came before the message that starts the saga, %s ago.", ago(s.Now, s.Saga.StartedAt))
	e.Next = []string{"It is undone as soon as that message comes; at " + clock(s.Saga.StartBy) + " it is considered missing, and the cancellation is refused."}
	for _, f := range s.Sources {
		if f.Name != Own && len(f.Sent) > 0 {
			e.Obstacles = append(e.Obstacles, s.whereIs(f, f.Sent[0], Own, e))
		}
	}
}

// ended explains an order that is still open although its saga has ended: an operator has forced the saga, and the
// last word to the order is under way, or in trouble.
func (s Story) ended(e *Explanation) {
	if !s.open() || s.Saga.Phase == saga.NotStarted {
		return
	}
	own, _ := s.found(Own)
	e.Summary += " The order is still open."
	for _, m := range slices.Backward(own.Sent) {
		if to := s.addressee(m.Topic); to != "" && to == s.keeper() && !isDeadLetter(m) {
			e.Obstacles = append(e.Obstacles, "The order has ended for the saga, not for Orders. "+s.whereIs(own, m, "", e))
			e.advise("sends the order its last word again", "outbox-relay", "replay", "--database="+Own, "--key="+s.ID, "--yes")
			return
		}
	}
	e.Obstacles = append(e.Obstacles, "The saga has ended without a word to the order: nothing will end it.")
	e.advise("names the command that ends it", "make", "audit")
}

// advise proposes a command that people paste into a shell. An id or a name that cannot be shown
// there is none for a shell either: then only what it is good for is said.
func (e *Explanation) advise(when string, words ...string) {
	line, err := shell.Command(words...)
	if err != nil {
		line = "# " + strings.Join(words[:3], " ") + ": the id has characters that cannot be typed"
	}
	if when != "" {
		line += "   # " + when
	}
	e.Advice = append(e.Advice, line)
}

// waiting describes a wait.
func (s Story) waiting(w saga.Wait) string {
	attempt := fmt.Sprintf("attempt %d", w.Attempt)
	switch {
	case w.Attempts > 0 && w.Attempt <= w.Attempts:
		attempt += fmt.Sprintf(" of %d", w.Attempts)
	case w.Attempts > 0:
		attempt += fmt.Sprintf(", its %d are used up", w.Attempts)
	}
	verb := "step " + w.Step
	if w.Undo {
		verb = "undo of step " + w.Step
	}
	until := "no deadline: an operator revoked it"
	switch {
	case w.Until.IsZero():
	case w.Until.Before(s.Now):
		until = "overdue since " + ago(s.Now, w.Until)
	default:
		until = "until " + clock(w.Until)
	}
	return fmt.Sprintf("Waits for %s since %s (%s, %s, %s).", strings.Join(w.Replies, " or "), ago(s.Now, w.Since), verb, attempt, until)
}

// next says what happens when a wait's deadline comes.
func next(now time.Time, w saga.Wait, phase saga.Phase, def *saga.Definition) string {
	if w.Until.IsZero() {
		return fmt.Sprintf("Nothing, until %s comes.", strings.Join(w.Replies, " or "))
	}
	at := "At " + clock(w.Until) + ", unless a reply comes first, "
	if w.Until.Before(now) {
		at = "Next, once deadlines are acted on again (they wait while the broker is away, or a backlog is read), "
	}
	_, cancelled := def.Ends()
	switch {
	case w.Stuck, w.Undo && w.Attempt > w.Attempts:
		return fmt.Sprintf("%s%s is sent again (attempt %d; a person should look).", at, w.Command, w.Attempt+1)
	case w.Undo && w.Attempt >= w.Attempts:
		return at + w.Command + " is sent again and the saga shows as " + string(saga.CompensationStuck) + "."
	case w.Undo:
		return fmt.Sprintf("%s%s is sent again (attempt %d of %d).", at, w.Command, w.Attempt+1, w.Attempts)
	case phase != saga.Running:
		return at + "the step is given up and undone as well."
	case w.Attempts == 0:
		return fmt.Sprintf("%s%s is sent again (attempt %d, until it is answered).", at, w.Command, w.Attempt+1)
	case w.Attempt >= w.Attempts:
		return at + "the step is given up and the saga is undone: it will end " + cancelled + "."
	default:
		return fmt.Sprintf("%s%s is sent again (attempt %d of %d).", at, w.Command, w.Attempt+1, w.Attempts)
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

func ago(now, then time.Time) string { return round(now.Sub(then)) }

func agoPtr(now time.Time, then *time.Time) string {
	if then == nil {
		return "some time"
	}
	return ago(now, *then)
}

// round keeps two or three digits, which is all that people read.
func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
