package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/chassis/shell"
	"waybill/orchestrator/saga"
)

// Own is the name of the orchestrator's own database among the sources.
const Own = "orchestrator"

// NotStarted is the state of an order that has no saga yet.
const NotStarted = "NOT_STARTED"

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
	case s.Saga == nil:
		s.notStarted(&e)
	case s.Saga.Phase == saga.Parked:
		s.parked(&e)
	default:
		s.running(&e)
	}
	s.deadLetters(&e)
	return e
}

// notStarted explains an order whose first message has not reached the orchestrator.
func (s Story) notStarted(e *Explanation) {
	e.State = NotStarted
	e.Summary = "No saga has begun: the message that starts it has not been handled here."
	for _, f := range s.Sources {
		if f.Name == Own || len(f.Sent) == 0 {
			continue
		}
		first := f.Sent[0]
		e.Obstacles = append(e.Obstacles, s.whereIs(f, first, Own, e))
	}
	if len(e.Obstacles) == 0 {
		e.Obstacles = []string{"No source that could be asked has sent anything for it."}
	}
}

func (s Story) parked(e *Explanation) {
	st := s.Saga
	e.State = string(saga.Parked)
	e.Summary = fmt.Sprintf("Parked since %s: definition %s version %d is not registered with the orchestrator. %d messages are held for it.",
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
		return
	}
	e.Waits = def.Waits(st)
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
	if w.Attempts > 0 {
		attempt += fmt.Sprintf(" of %d", w.Attempts)
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

// obstacle follows the last command of a wait through outbox, broker and
// inbox, and then its reply the same way back.
func (s Story) obstacle(w saga.Wait, e *Explanation) string {
	own, _ := s.found(Own)
	i := slices.IndexFunc(own.Sent, func(m Sent) bool { return m.EventID == w.CommandID })
	if i < 0 {
		return fmt.Sprintf("Command %s is not in the orchestrator's outbox any more: it was published and has expired there.", w.Command)
	}
	return s.whereIs(own, own.Sent[i], "", e)
}

// whereIs says how far a message of source f has come. Consumer is the source
// that should handle it; empty if that is not known.
func (s Story) whereIs(f Found, m Sent, consumer string, e *Explanation) string {
	what := fmt.Sprintf("%s is outbox row %d of %s", m.Type, m.ID, f.Name)
	switch m.Status {
	case "stuck":
		id := strconv.FormatInt(m.ID, 10)
		e.advise("", "outbox-relay", "stuck", "show", "--database="+f.Name, id)
		e.advise("", "outbox-relay", "stuck", "retry", "--database="+f.Name, id)
		return fmt.Sprintf("%s, refused by the broker since %s (%d attempts): %s.", what, agoPtr(s.Now, m.StuckAt), m.Attempts, m.Error)
	case "parked":
		e.advise("", "outbox-relay", "stuck", "list", "--database="+f.Name)
		return what + ", parked behind an earlier message of this key that the broker refuses."
	case "pending":
		return fmt.Sprintf("%s, not published since %s: %s", what, ago(s.Now, m.CreatedAt), s.unpublished(f, e))
	}
	h, by, handled := s.handledBy(m.EventID, f.Name)
	if !handled {
		return what + ", published, " + s.unhandled(m, consumer)
	}
	// Handled: then its answer is on the way, if the source can be asked.
	answer, in, ok := s.answer(m.EventID, f.Name)
	if !ok {
		return fmt.Sprintf("%s, handled by %s at %s (%s/%d offset %d), which has sent no answer.",
			what, h.Consumer, clock(h.At), h.Topic, h.Partition, h.Offset)
	}
	if _, _, done := s.handledBy(answer.EventID, in.Name); done {
		return fmt.Sprintf("%s, answered with %s, which the orchestrator has handled.", what, answer.Type)
	}
	return fmt.Sprintf("%s, handled by %s. Its answer: %s", what, by, s.whereIs(in, answer, Own, e))
}

// unpublished says why the relay has not got to a row.
func (s Story) unpublished(f Found, e *Explanation) string {
	switch {
	case f.Relay.Paused:
		e.advise("", "outbox-relay", "resume", "--database="+f.Name)
		return "the relay of " + f.Name + " is paused."
	case s.Relay[f.Name] != "":
		return s.Relay[f.Name] + "."
	case s.Broker != "":
		return s.Broker + "."
	case f.Relay.Leader == "":
		return "no relay has taken on " + f.Name + "; see whether outbox-relay runs."
	case f.Relay.Ahead > 0:
		return fmt.Sprintf("%d rows are ahead of it.", f.Relay.Ahead)
	default:
		return "the relay has not come to it yet; see whether outbox-relay runs."
	}
}

// unhandled says what is known of a published message that no inbox has.
func (s Story) unhandled(m Sent, consumer string) string {
	if f, ok := s.found(consumer); consumer != "" && (ok || f.Name != "") {
		if ok {
			return "not handled by " + consumer + " yet: it is behind, or away."
		}
		return "and whether " + consumer + " has handled it is not known: its database cannot be asked."
	}
	var dark []string
	for _, f := range s.Sources {
		if f.Err != nil {
			dark = append(dark, f.Name)
		}
	}
	if len(dark) > 0 {
		return "and in no inbox that could be asked; " + strings.Join(dark, " and ") + " could not be."
	}
	if len(s.Sources) == 1 {
		return "and no other database is known here: set EXPLAIN_DATABASES to see whether it was handled."
	}
	return "not handled yet: whoever consumes " + m.Topic + " is behind, or away."
}

// handledBy finds the inbox row of a message outside of the database it came from.
func (s Story) handledBy(id uuid.UUID, except string) (Handled, string, bool) {
	for _, f := range s.Sources {
		if f.Name == except {
			continue
		}
		for _, h := range f.Handled {
			if h.EventID == id {
				return h, f.Name, true
			}
		}
	}
	return Handled{}, "", false
}

// answer finds the latest message that names id as its cause.
func (s Story) answer(id uuid.UUID, except string) (Sent, Found, bool) {
	for _, f := range s.Sources {
		if f.Name == except {
			continue
		}
		for _, m := range slices.Backward(f.Sent) {
			if m.Cause != nil && *m.Cause == id {
				return m, f, true
			}
		}
	}
	return Sent{}, Found{}, false
}

// deadLetters points at messages of this order that a consumer could not use.
func (s Story) deadLetters(e *Explanation) {
	for _, f := range s.Sources {
		for _, m := range f.Sent {
			if strings.HasSuffix(m.Topic, ".dlq") {
				e.Obstacles = append(e.Obstacles, fmt.Sprintf("%s could not use a %s and set it aside in %s: %s.", f.Name, m.Type, m.Topic, m.Why))
			}
		}
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
