package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// obstacle follows the last command of a wait through outbox, broker and
// inbox, and then its reply the same way back.
func (s Story) obstacle(w saga.Wait, e *Explanation) string {
	own, _ := s.found(Own)
	i := slices.IndexFunc(own.Sent, func(m Sent) bool { return m.EventID == w.CommandID })
	if i < 0 && len(own.Sent) >= sentLimit {
		return fmt.Sprintf("Command %s is not among the newest %d messages that the orchestrator has sent for it.", w.Command, sentLimit)
	}
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
		if m.Error != "" { // its topic waits, and no message is at fault
			return fmt.Sprintf("%s, not published since %s: %s.", what, ago(s.Now, m.CreatedAt), m.Error)
		}
		e.advise("", "outbox-relay", "stuck", "list", "--database="+f.Name)
		return what + ", parked behind an earlier message of this key, or of its topic, that the broker refuses."
	case "pending":
		return fmt.Sprintf("%s, not published since %s: %s", what, ago(s.Now, m.CreatedAt), s.unpublished(f, e))
	}
	h, by, handled := s.handledBy(m.EventID, f.Name)
	if letter, in, aside := s.setAside(m); aside {
		return fmt.Sprintf("%s, and %s could not use it: it is set aside in %s: %s.", what, in.Name, letter.Topic, letter.Why) + s.afterDeadLetter(letter, in, e)
	}
	if !handled {
		return what + ", published, " + s.unhandled(m, consumer, e)
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
func (s Story) unhandled(m Sent, consumer string, e *Explanation) string {
	if consumer == "" {
		consumer = s.addressee(m.Topic)
	}
	f, ok := s.found(consumer)
	switch {
	case ok:
		return "not handled by " + consumer + " yet: " + s.why(f, e)
	case f.Name != "":
		return "and whether " + consumer + " has handled it is not known: its database cannot be asked." + s.unwell(consumer, e)
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
	return "not handled yet: the consumer of " + m.Topic + " is behind, or unavailable."
}

// addressee is the source whose service consumes a topic: by convention inventory.commands.v1 is inventory's,
// and events are for the orchestrator. Empty where that is none that is known here.
func (s Story) addressee(topic string) string {
	name, rest, _ := strings.Cut(topic, ".")
	if !strings.HasPrefix(rest, "commands") {
		return Own
	}
	if f, _ := s.found(name); f.Name != "" {
		return name
	}
	return ""
}

// why says why a service has not handled a message: its sessions wait for a lock, it is unwell, or behind.
func (s Story) why(f Found, e *Explanation) string {
	if len(f.Blocked) > 0 {
		b := f.Blocked[0]
		e.Advice = append(e.Advice, endSession(f.Name, strconv.Itoa(b.Holder)))
		return fmt.Sprintf("%s waits since %s for a lock that session %d holds (%s).", b.Waiter, round(b.Waits), b.Holder, b.holder())
	}
	if unwell := s.unwell(f.Name, e); unwell != "" {
		return strings.TrimPrefix(unwell, " ")
	}
	if _, asked := s.Services[f.Name]; asked {
		return f.Name + " is up and says that it is well; it is behind, or its handler hangs."
	}
	return "it is behind, or unavailable."
}

var heldBy = regexp.MustCompile(`held by pid ([0-9]+)`)

// endSession proposes the last resort. The variable is for the shell to read; .waybill/env sets it.
func endSession(database, pid string) string {
	return fmt.Sprintf(`psql "$%s_DB" -c 'select pg_terminate_backend(%s)'   # ends the session that holds the lock; ask its owner first`,
		variable(database), pid)
}

// variable is a name as shells have them in variables.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return '_'
		}
		return r
	}, strings.ToUpper(name))
}

// unwell says what a service says of itself; empty where it is well, or was not asked.
func (s Story) unwell(name string, e *Explanation) string {
	service, asked := s.Services[name]
	if !asked || service.Problem == "" {
		return ""
	}
	// The service has found the session out itself, with rights that explain need not have.
	if holder := heldBy.FindStringSubmatch(service.Problem); holder != nil {
		e.Advice = append(e.Advice, endSession(name, holder[1]))
		return fmt.Sprintf(" %s %s.", name, service.Problem)
	}
	e.advise("", "curl", "-sm2", service.URL+"/readyz")
	return fmt.Sprintf(" %s %s.", name, service.Problem)
}

// setAside finds the dead letter that a message has become.
func (s Story) setAside(m Sent) (Sent, Found, bool) {
	for _, f := range s.Sources {
		for _, letter := range f.Sent {
			if isDeadLetter(letter) && letter.EventID == m.EventID && letter.Topic == m.Topic+".dlq" {
				return letter, f, true
			}
		}
	}
	return Sent{}, Found{}, false
}

// afterDeadLetter says what to do about a message that was set aside: a reply comes again when its command does, and
// a command can be given back once its consumer is repaired.
func (s Story) afterDeadLetter(letter Sent, in Found, e *Explanation) string {
	if in.Name == Own {
		e.advise("has it answered again", "orchestrator", "saga", "retry", "--reason=the reply could not be used", "--", s.ID)
		return " It comes again when the command is sent again."
	}
	id := strconv.FormatInt(letter.ID, 10)
	e.advise("gives it back, once "+in.Name+" can use it", "outbox-relay", "replay", "--database="+in.Name, "--from-id="+id, "--to-id="+id,
		"--topic="+strings.TrimSuffix(letter.Topic, ".dlq"), "--yes")
	return ""
}

func isDeadLetter(m Sent) bool { return strings.HasSuffix(m.Topic, ".dlq") }

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

// deadLetters points at messages of this order that a consumer could not use, where that is not said yet.
func (s Story) deadLetters(e *Explanation) {
	for _, f := range s.Sources {
		for _, m := range f.Sent {
			said := slices.ContainsFunc(e.Obstacles, func(line string) bool { return strings.Contains(line, "set aside in "+m.Topic) })
			if isDeadLetter(m) && !said {
				e.Obstacles = append(e.Obstacles, fmt.Sprintf("%s could not use %s: it is set aside in %s: %s.", f.Name, m.Type, m.Topic, m.Why)+s.afterDeadLetter(m, f, e))
			}
		}
	}
}
