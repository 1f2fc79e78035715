package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"waybill.example/sdk/deadletter"
	"waybill.example/sdk/saga"
)

// SentLimit is how many messages of one order are looked at in each outbox: the newest.
const SentLimit = 200

// obstacle follows the last command of a wait through outbox, broker and inbox, and then its reply
// the same way back.
func (s Evidence) obstacle(w saga.Wait, e *Report) string {
	own, _ := s.database(OwnDatabase)
	i := slices.IndexFunc(own.Sent, func(m Message) bool { return m.EventID == w.CommandID })
	if i < 0 && len(own.Sent) >= SentLimit {
		return fmt.Sprintf("Command %s is not among the newest %d messages that the orchestrator has sent for it.", w.Command, SentLimit)
	}
	if i < 0 {
		return fmt.Sprintf("Command %s is not in the orchestrator's outbox any more: it was published and has expired there.", w.Command)
	}
	return s.whereIs(own, own.Sent[i], "", e)
}

// whereIs says how far a message of database d has come. Consumer is the service that should handle
// it; empty if that is not known.
func (s Evidence) whereIs(d Database, m Message, consumer string, e *Report) string {
	what := fmt.Sprintf("%s is outbox row %d of %s", m.Type, m.ID, d.Name)
	switch m.Status {
	case "stuck":
		id := strconv.FormatInt(m.ID, 10)
		e.advise("", "outbox-relay", "stuck", "show", "--database="+d.Name, id)
		e.advise("", "outbox-relay", "stuck", "retry", "--database="+d.Name, id)
		return fmt.Sprintf("%s, refused by the broker since %s (%d attempts): %s.", what, agoPtr(s.Now, m.StuckAt), m.Attempts, m.Error)
	case "parked":
		if m.Error != "" { // its topic waits, and no message is invalid
			return fmt.Sprintf("%s, not published since %s: %s.", what, ago(s.Now, m.CreatedAt), m.Error)
		}
		e.advise("", "outbox-relay", "stuck", "list", "--database="+d.Name)
		return what + ", parked behind an earlier message of this key, or of its topic, that the broker refuses."
	case "pending":
		return fmt.Sprintf("%s, not published since %s: %s", what, ago(s.Now, m.CreatedAt), s.unpublished(d, e))
	}
	if letter, in, found := s.deadLetter(m); found && !isOpen(letter) {
		return fmt.Sprintf("%s, and %s"+couldNotUse+"it: %s. An operator has discarded it.", what, in.Name, letter.Reason)
	} else if found {
		return fmt.Sprintf("%s, and %s"+couldNotUse+"it: it is set aside in %s: %s.", what, in.Name, letter.Topic, letter.Reason) + s.afterDeadLetter(letter, in, e)
	}
	delivery, by, handled := s.deliveryOf(m.EventID, d.Name)
	if !handled {
		return what + ", published, " + s.unhandled(m, consumer, e)
	}
	// Handled: then its answer is on the way, if the database can be asked.
	answer, in, ok := s.answer(m.EventID, d.Name)
	if !ok {
		return fmt.Sprintf("%s, handled by %s at %s (%s/%d offset %d), which has sent no answer.",
			what, delivery.Consumer, clock(delivery.At), delivery.Topic, delivery.Partition, delivery.Offset)
	}
	if _, _, done := s.deliveryOf(answer.EventID, in.Name); done {
		return fmt.Sprintf("%s, answered with %s, which the orchestrator has handled.", what, answer.Type)
	}
	return fmt.Sprintf("%s, handled by %s. Its answer: %s", what, by, s.whereIs(in, answer, OwnDatabase, e))
}

// unpublished says why the relay has not got to a row.
func (s Evidence) unpublished(d Database, e *Report) string {
	switch {
	case d.Outbox.Paused:
		e.advise("", "outbox-relay", "resume", "--database="+d.Name)
		return "the relay of " + d.Name + " is paused."
	case d.Outbox.Problem != "":
		return d.Outbox.Problem + "."
	case s.Relay.Error != "":
		return s.silentRelay(e) + "."
	case s.Broker != "":
		return s.Broker + "."
	case d.Outbox.Leader == "":
		return "no relay has taken on " + d.Name + "; see whether outbox-relay runs."
	case d.Outbox.Ahead > 0:
		return fmt.Sprintf("%d rows are ahead of it.", d.Outbox.Ahead)
	default:
		return "the relay has not come to it yet; see whether outbox-relay runs."
	}
}

// unhandled says what is known of a published message that no inbox has.
func (s Evidence) unhandled(m Message, consumer string, e *Report) string {
	if consumer == "" {
		consumer = s.addressee(m.Topic)
	}
	if d, ok := s.database(consumer); ok {
		return "not handled by " + consumer + " yet: " + s.why(d, e)
	}
	reason := s.unknown(consumer, e)
	if consumer == "" {
		return "and it is not known who should handle it: " + reason + "."
	}
	return "and whether " + consumer + " has handled it is not known: " + reason + "." + s.unhealthy(consumer, e)
}

// silentRelay says that the relay does not answer. Who leads, and what waits, the databases know
// without it.
func (s Evidence) silentRelay(e *Report) string {
	e.advise("", "curl", "-sm2", s.Relay.URL+"/readyz")
	e.advise("asks the databases themselves who leads, and what waits", "outbox-relay", "status")
	return RelayName + " did not answer: " + s.Relay.Error
}

// unknown says why nothing is known of the inbox of a service.
func (s Evidence) unknown(consumer string, e *Report) string {
	d, _ := s.database(consumer)
	switch {
	case !s.Relay.Asked:
		return "no relay is known here; set RELAY_URL"
	case s.Relay.Error != "":
		return s.silentRelay(e)
	case d.Error != "":
		return "its database did not answer: " + d.Error
	default:
		return RelayName + " serves no such database"
	}
}

// addressee is the service that consumes a topic: by convention inventory.commands.v1 is
// inventory's, and events are for the orchestrator. Empty where that is none that is known here.
func (s Evidence) addressee(topic string) string {
	name, rest, _ := strings.Cut(topic, ".")
	if !strings.HasPrefix(rest, "commands") {
		return OwnDatabase
	}
	_, service := s.service(name)
	if d, _ := s.database(name); service || d.Name != "" {
		return name
	}
	return ""
}

// why says why a service has not handled a message: its sessions wait for a lock, it is unhealthy,
// or behind.
func (s Evidence) why(d Database, e *Report) string {
	if len(d.Blocked) > 0 {
		b := d.Blocked[0]
		e.Advice = append(e.Advice, endSession(d.Name, strconv.Itoa(b.Holder)))
		return fmt.Sprintf("%s waits since %s for a lock that session %d holds (%s).", b.Waiter, round(b.Waits), b.Holder, b.holder())
	}
	if unhealthy := s.unhealthy(d.Name, e); unhealthy != "" {
		return strings.TrimPrefix(unhealthy, " ")
	}
	if _, asked := s.service(d.Name); asked {
		return d.Name + " is up and reports no problem; it is behind, or its handler hangs."
	}
	return "it is behind, or unavailable."
}

// heldBy finds the session in what a service says of its consumer: it has found it out itself, with
// rights in its database that explain need not have.
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

// unhealthy says what is wrong with a service; empty where nothing is, or where it was not asked.
func (s Evidence) unhealthy(name string, e *Report) string {
	service, asked := s.service(name)
	switch {
	case !asked:
		return ""
	case service.Unhealthy != "": // which says more than that it could not answer about the order
	case service.Error != "":
		e.advise("", "curl", "-sm2", service.URL+"/readyz")
		return fmt.Sprintf(" %s did not answer: %s.", name, service.Error)
	default:
		return ""
	}
	if holder := heldBy.FindStringSubmatch(service.Unhealthy); holder != nil {
		e.Advice = append(e.Advice, endSession(name, holder[1]))
	} else {
		e.advise("", "curl", "-sm2", service.URL+"/readyz")
	}
	return fmt.Sprintf(" %s says %s.", name, service.Unhealthy)
}

// deadLetter finds the dead letter that a message has become, and still is, or was discarded as.
func (s Evidence) deadLetter(m Message) (Message, Database, bool) {
	for _, d := range s.Databases {
		for _, letter := range d.Sent {
			if (isOpen(letter) || isDiscarded(letter)) && letter.EventID == m.EventID && letter.Topic == m.Topic+".dlq" {
				return letter, d, true
			}
		}
	}
	return Message{}, Database{}, false
}

// afterDeadLetter says what to do about a message that was set aside: a reply comes again when its
// command does, and a command can be given back once its consumer is repaired.
func (s Evidence) afterDeadLetter(letter Message, in Database, e *Report) string {
	what := []string{"--all", "--event-id=" + letter.EventID.String()}
	if letter.Letter != nil && letter.Letter.Nameless {
		what = []string{strconv.FormatInt(letter.Letter.ID, 10)}
	}
	e.advise("applies it, once "+in.Name+" can use it, and then what waits behind it", slices.Concat(
		[]string{"waybill", "dlq", "redrive", "--service=" + in.Name}, what, []string{"--reason=what was wrong is repaired"})...)
	return " Later messages of its key wait behind it."
}

// IsDeadLetter says whether a message announces that another was set aside.
func IsDeadLetter(m Message) bool { return strings.HasSuffix(m.Topic, ".dlq") }

// isOpen says whether a message announces a dead letter that waits, as far as is known.
func isOpen(m Message) bool { return IsDeadLetter(m) && (m.Letter == nil || !m.Letter.Settled) }

func isDiscarded(m Message) bool {
	return IsDeadLetter(m) && m.Letter != nil && m.Letter.State == string(deadletter.Discarded)
}

// deliveryOf finds the inbox row of a message outside of the database it came from, and whose inbox
// that is.
func (s Evidence) deliveryOf(id uuid.UUID, except string) (Delivery, string, bool) {
	for _, d := range s.Databases {
		if d.Name == except {
			continue
		}
		for _, delivery := range d.Deliveries {
			if delivery.EventID == id {
				return delivery, d.Name, true
			}
		}
	}
	return Delivery{}, "", false
}

// answer finds the latest message that names id as its cause.
func (s Evidence) answer(id uuid.UUID, except string) (Message, Database, bool) {
	for _, d := range s.Databases {
		if d.Name == except {
			continue
		}
		for _, m := range slices.Backward(d.Sent) {
			if m.Cause != nil && *m.Cause == id {
				return m, d, true
			}
		}
	}
	return Message{}, Database{}, false
}

// deadLetters points at messages of this order that a consumer could not use, where that is not
// said yet.
func (s Evidence) deadLetters(e *Report) {
	for _, d := range s.Databases {
		for _, m := range d.Sent {
			said := slices.ContainsFunc(e.Obstacles, func(line string) bool { return strings.Contains(line, "set aside in "+m.Topic) })
			if isOpen(m) && !said {
				e.Obstacles = append(e.Obstacles, fmt.Sprintf("%s"+couldNotUse+"%s: it is set aside in %s: %s.", d.Name, m.Type, m.Topic, m.Reason)+s.afterDeadLetter(m, d, e))
			}
		}
	}
}
