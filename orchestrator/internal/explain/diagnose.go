package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill.example/chassis/shell"
	"waybill.example/sdk/saga"
)

// The states of an order without a saga: it has none yet, or none any more.
const (
	NotStarted = "NOT_STARTED"
	NotKept    = "NOT_KEPT"
)

// Diagnose turns what was found into an answer. It is pure.
func Diagnose(s Evidence) Report {
	e := Report{ID: s.ID, ExplainedAt: s.Now, Timeline: s.timeline(), Sources: s.Sources(), Bill: s.Bill(), shard: s.Shard}
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

// orderService is the service that has the order itself, if it could be asked.
func (s Evidence) orderService() (Service, bool) {
	for _, service := range s.Services {
		if slices.ContainsFunc(service.Facts, func(fact Fact) bool { return fact.Kind == Accepted }) {
			return service, true
		}
	}
	return Service{}, false
}

// became is what the order's own service says became of it; empty while it is open, or where nobody
// knows.
func (s Evidence) became() string {
	service, _ := s.orderService()
	for _, fact := range service.Facts {
		if fact.Kind == Became {
			return fact.What
		}
	}
	return ""
}

// notKept explains an order that was decided and whose saga is gone: sagas are kept for
// SAGA_RETENTION.
func (s Evidence) notKept(e *Report) {
	e.State = NotKept
	e.Summary = "No saga is kept for it any more, or none was ever needed: the " + s.became() + "."
	e.Next = []string{"Nothing: it has ended."}
}

// notStarted explains an order whose first message has not reached the orchestrator.
func (s Evidence) notStarted(e *Report) {
	e.State = NotStarted
	e.Summary = "No saga has begun: the message that starts it has not been handled here."
	for _, f := range s.Databases {
		if first, found := f.firstSent(); found {
			e.Obstacles = append(e.Obstacles, s.whereIs(f, first, OwnDatabase, e))
			e.Next = []string{fmt.Sprintf("The saga begins as soon as the orchestrator handles %s.", first.Type)}
		}
	}
	if len(e.Obstacles) == 0 {
		e.Obstacles = []string{"No service that could be asked has sent anything for it."}
		if s.Relay.Error != "" {
			e.Obstacles = []string{"Whether that message has been sent is not known: " + s.silentRelay(e) + "."}
		} else if i := slices.IndexFunc(s.Databases, func(d Database) bool { return d.Error != "" }); i >= 0 {
			e.Obstacles = []string{fmt.Sprintf("Whether that message has been sent is not known: of database %s, %s.", s.Databases[i].Name, s.Databases[i].Error)}
			e.advise("", "curl", "-sm2", s.Relay.URL+"/readyz")
		}
		e.Next = []string{"Nothing, until the message that starts the saga comes."}
	}
}

func (s Evidence) suspended(e *Report) {
	st := s.Saga
	e.State = string(saga.Suspended)
	e.Summary = fmt.Sprintf("%s %d messages are held for it.", s.suspendedSince(), len(st.Held))
	switch {
	case st.SuspendedBy != "":
		e.Next = []string{"Nothing, until it is resumed: then first what is held, in order."}
		e.advise("lets it go on", "orchestrator", "saga", "resume", "--reason=it can go on", "--", s.ID)
	case !st.SuspendedAt.IsZero():
		e.Next = []string{"Nothing, until the version is resumed: then first what is held, in order."}
		s.adviseResumeAll(e)
	default:
		e.Next = []string{"It goes on with what is held as soon as an orchestrator that knows the version runs."}
		e.Advice = []string{fmt.Sprintf("Run a release that registers %s version %d, or end the saga by hand once it does.", st.Definition, st.Version)}
	}
}

func (s Evidence) adviseResumeAll(e *Report) {
	e.advise("lets all of them go on", "orchestrator", "saga", "resume", "--all", "--reason=they can go on", "--", fmt.Sprintf("%s@%d", s.Saga.Definition, s.Saga.Version))
}

func (s Evidence) running(e *Report) {
	st := *s.Saga
	def, ok := s.Registry.Definition(st.Definition, st.Version)
	e.State = s.Registry.StateName(st)
	e.Summary = s.firstLine()
	if !ok {
		return
	}
	if st.Phase.Ended() {
		s.ended(e)
		return
	}
	e.Waits = def.Waits(st)
	if st.Phase == saga.AwaitingStart {
		s.awaitingStart(e)
		return
	}
	for _, w := range e.Waits {
		if w.For == saga.ForReply {
			e.Obstacles = append(e.Obstacles, s.obstacle(w, e))
		}
		e.Next = append(e.Next, next(s.Now, w, st.Phase, def))
	}
	if _, suspended := s.versionSuspended(); suspended {
		e.Next = []string{"Nothing, until the version is resumed: no deadline is acted on, and messages for it are held."}
		s.adviseResumeAll(e)
	}
	if st.Phase == saga.CompensationStuck {
		e.advise("once the participant works again", "orchestrator", "saga", "retry", "--reason=the participant works again", "--", s.ID)
	}
	for _, w := range e.Waits {
		if w.Stuck && w.Undo {
			e.advise("if what it did was taken back by hand; --preview says first what follows",
				"orchestrator", "saga", "resolve", "--step="+w.Step, "--as=undone", "--reason=taken back by hand", "--", s.ID)
		}
	}
}

// awaitingStart explains a saga that was cancelled, or answered, before the message that starts it
// came.
func (s Evidence) awaitingStart(e *Report) {
	e.Next = []string{"It is undone as soon as that message comes; at " + clock(s.Saga.StartBy) + " it is considered missing, and the cancellation is refused."}
	if !s.Saga.CancelAsked && s.became() != "" {
		e.Next = []string{"Nothing has to be done: the order has ended. Where no message that starts the saga comes, this ends as NOT_STARTED at " + clock(s.Saga.StartBy) + "."}
		return
	}
	if !s.Saga.CancelAsked {
		e.Next = []string{"It begins as soon as that message comes, with the replies that came before; from " + clock(s.Saga.StartBy) + " on it is considered missing."}
	}
	for _, f := range s.Databases {
		if first, found := f.firstSent(); found {
			e.Obstacles = append(e.Obstacles, s.whereIs(f, first, OwnDatabase, e))
		}
	}
}

// firstSent is the first message that a service has sent for an order. The copy of a dead letter is
// none: it starts nothing.
func (d Database) firstSent() (Message, bool) {
	i := slices.IndexFunc(d.Sent, func(m Message) bool { return !IsDeadLetter(m) })
	if d.Name == OwnDatabase || i < 0 {
		return Message{}, false
	}
	return d.Sent[i], true
}

// ended explains an order that is still open although its saga has ended: an operator has forced
// the saga, and the last command to the order is under way, or cannot be delivered.
func (s Evidence) ended(e *Report) {
	orders, known := s.orderService()
	if !known || s.became() != "" || s.Saga.Phase == saga.NotStarted {
		return
	}
	own, _ := s.database(OwnDatabase)
	e.Summary += " The order is still open."
	for _, m := range slices.Backward(own.Sent) {
		if s.addressee(m.Topic) == orders.Name && !IsDeadLetter(m) {
			e.Obstacles = append(e.Obstacles, "The saga has ended, and the order has not. "+s.whereIs(own, m, "", e))
			e.advise("sends the order its last command again", "outbox-relay", "replay", "--database="+OwnDatabase, "--key="+s.ID, "--yes", "--reason=the order lacks its last command")
			return
		}
	}
	e.Obstacles = append(e.Obstacles, "The saga has ended without a command to the order: nothing will end it.")
	e.advise("names the command that ends it", "make", "audit")
}

// advise proposes a command that people paste into a shell. An id or a name that cannot be shown
// there is none for a shell either: then only what it is good for is said.
func (e *Report) advise(when string, words ...string) {
	for i, word := range words {
		if database, is := strings.CutPrefix(word, "--database="); is {
			words[i] = "--database=" + e.shard.Database(database)
		}
	}
	line, err := shell.Command(words...)
	if err != nil {
		line = "# " + strings.Join(words[:min(3, len(words))], " ") + ": the id has characters that cannot be typed"
	}
	if when != "" {
		line += "   # " + when
	}
	e.Advice = append(e.Advice, line)
}

// waiting describes a wait.
func (s Evidence) waiting(w saga.Wait) string {
	switch w.For {
	case saga.ForTime:
		return fmt.Sprintf("Lets time pass since %s (step %s, until %s).", ago(s.Now, w.Since), w.Step, clock(w.Until))
	case saga.ForEvent:
		until := "no deadline: an operator revoked it"
		if !w.Until.IsZero() {
			until = "until " + clock(w.Until)
		}
		return fmt.Sprintf("Awaits %s since %s (step %s, %s).", strings.Join(w.Replies, " or "), ago(s.Now, w.Since), w.Step, until)
	case saga.ForReply, saga.ForStart:
	}
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
		at = "Next, once deadlines are acted on again (they wait while the broker is down, or a backlog is read), "
	}
	_, cancelled := def.Ends()
	switch {
	case w.For == saga.ForTime:
		return "At " + clock(w.Until) + " the step is done, and the saga goes on."
	case w.For == saga.ForEvent:
		return at + "the event is awaited no longer and the saga is undone: it will end " + cancelled + "."
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
