package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
)

// row is an outbox row.
type row struct {
	Database string
	ID       int64
	EventID  uuid.UUID
	Topic    string
	Key      string
	Type     string
	Cause    uuid.UUID // the message that it answers; Nil where there is none
	Age      time.Duration
	// Published: the relay's cursor has it, and had it before the topics were read.
	Published bool
	// Stuck: it is in outbox_stuck, refused or parked.
	Stuck bool
}

func (w row) subject() string { return fmt.Sprintf("%s outbox row %d", w.Database, w.ID) }

// message is a message on a topic.
type message struct {
	EventID   uuid.UUID // of the header ce_id; Nil where that is none
	Topic     string
	Partition int32
	Offset    int64
	Key       string
	Time      time.Time // when it was produced
}

func (m message) subject() string {
	return fmt.Sprintf("%s/%d offset %d", m.Topic, m.Partition, m.Offset)
}

// letter is an outbox row and what became of it.
type letter struct {
	row
	delivered bool
	handled   bool
	counted   bool      // as handled
	at        time.Time // when it was produced first
}

// consumer is who handles a topic: a group, the database with its inbox, and the types it takes.
type consumer struct {
	group, database string
	types           []contracts.Type
}

// consumers is who reads what. A type that is not named is skipped by its consumer.
var consumers = map[string]consumer{
	contracts.TopicOrders: {contracts.GroupOrchestrator, "orchestrator", []contracts.Type{
		contracts.TypeOrderCreated, contracts.TypeOrderConfirmed, contracts.TypeOrderCancelled, contracts.TypeOrderCancelRequested,
	}},
	contracts.TopicInventory: {contracts.GroupOrchestrator, "orchestrator", []contracts.Type{
		contracts.TypeInventoryReserved, contracts.TypeInventoryRejected, contracts.TypeInventoryReleased,
	}},
	contracts.TopicOrderCommands: {contracts.GroupOrders, "orders", []contracts.Type{
		contracts.TypeConfirmOrder, contracts.TypeCancelOrder,
	}},
	contracts.TopicInventoryCommands: {contracts.GroupInventory, "inventory", []contracts.Type{
		contracts.TypeReserveInventory, contracts.TypeReleaseInventory,
	}},
}

// handledBy returns who has to handle the letter.
func (l letter) handledBy() (consumer, bool) {
	c, ok := consumers[l.Topic]
	return c, ok && slices.Contains(c.types, contracts.Type(l.Type))
}

// keyed is a key on a topic: what order is kept for.
type keyed struct{ topic, key string }

// address tells letters apart. A dead letter has the id of the message that it sets aside, so the id
// alone does not.
type address struct {
	id    uuid.UUID
	topic string
}

// mail is what the audit remembers of rows and messages from pass to pass.
type mail struct {
	letters map[address]*letter // rows that are not done with
	last    map[keyed]row       // the row whose message was the last to come, of each key
	answers map[uuid.UUID]row   // by the message that was answered
	// unordered holds rows up to which order cannot be told, by database: the topics on which they
	// stood were lost, and they were sent again.
	unordered map[string]int64
}

func newMail(unordered map[string]int64) *mail {
	return &mail{letters: map[address]*letter{}, last: map[keyed]row{}, answers: map[uuid.UUID]row{}, unordered: unordered}
}

// post takes rows, and what is new about rows that are known. It returns those that are new.
func (m *mail) post(rows []row, r *results) (added []row) {
	for _, w := range rows {
		known, again := m.letters[address{w.EventID, w.Topic}]
		switch {
		case again && known.Database == w.Database && known.ID == w.ID:
			known.row = w
			continue
		case again && isDeadLetter(w.Topic):
			continue // two broken messages that claim the same id
		case again:
			r.keep(Once, w.subject(), repairShowRow(w), "has the event id of %s: %s", known.subject(), w.EventID)
			continue
		}
		m.letters[address{w.EventID, w.Topic}] = &letter{row: w}
		m.answer(w, r)
		added = append(added, w)
	}
	return added
}

// answer remembers what was answered. Orders and Inventory answer each command once, whatever they
// do about it; the orchestrator's own effects are counted where its sagas are read.
func (m *mail) answer(w row, r *results) {
	if w.Cause == uuid.Nil || isDeadLetter(w.Topic) || w.Database == "orchestrator" {
		return
	}
	if first, twice := m.answers[w.Cause]; twice {
		r.keep(Once, w.subject(), repairShowRow(w), "answers message %s, which row %d has answered", w.Cause, first.ID)
		return
	}
	m.answers[w.Cause] = w
	r.looked[Once]++
}

func isDeadLetter(topic string) bool { return strings.HasSuffix(topic, ".dlq") }

// arrive marks rows as delivered, in the order in which their messages stand on each partition, and
// returns the messages that belong to no known row.
//
// Order: an outbox id is drawn after the transaction has the lock that decides which of two writers
// of a key is first (outbox.Append asks for that), so of two rows of a key the one with the higher
// id is the later one, and its message must come later. A message that comes again, after a crash or
// by a replay, says nothing about order: only its first occurrence does.
func (m *mail) arrive(messages []message, r *results) (unknown []message) {
	for _, msg := range messages {
		l, known := m.letters[address{msg.EventID, msg.Topic}]
		if !known {
			unknown = append(unknown, msg)
			continue
		}
		if l.delivered {
			continue
		}
		l.delivered, l.at = true, msg.Time
		r.looked[Delivered]++
		if msg.Key == "" {
			continue
		}
		k := keyed{msg.Topic, msg.Key}
		before, some := m.last[k]
		m.last[k] = l.row
		if !some || before.Database != l.Database {
			continue
		}
		r.looked[Ordered]++
		if before.ID > l.ID && l.ID > m.unordered[l.Database] {
			m.last[k] = before
			r.keep(Ordered, msg.subject(), repairLook(l.row), "key %s: row %d of %s came after row %d", msg.Key, l.ID, l.Database, before.ID)
		}
	}
	return unknown
}

// missing finds the rows that are not on their topic and should be. since is when each topic begins.
func (m *mail) missing(now time.Time, since map[string]time.Time, limits Limits, r *results) (open int) {
	for _, l := range m.letters {
		switch {
		case l.delivered || l.Stuck: // a stuck row is trouble, and reported as such
		case l.Published && now.Add(-l.Age).Before(since[l.Topic]): // the topic has forgotten it
		case l.Published:
			r.find(Delivered, l.subject(), repairReplayRow(l.row), "%s for key %q counts as published, and is not on %s", l.Type, l.Key, l.Topic)
		case l.Age > limits.Overdue:
			r.find(Delivered, l.subject(), repairPending(l.row), "%s for key %q waits to be published since %s", l.Type, l.Key, round(l.Age))
		default:
			open++
		}
	}
	return open
}

// unhandled finds the messages that no consumer has handled and should have.
func (m *mail) unhandled(now time.Time, limits Limits, r *results) (open int) {
	for _, l := range m.letters {
		c, expected := l.handledBy()
		switch {
		case !expected || !l.delivered:
		case l.handled || m.setAside(l):
			l.handled = true
			r.looked[Handled] += l.count()
		case now.Sub(l.at) > limits.Overdue:
			r.find(Handled, l.subject(), repairReplayRow(l.row), "%s for key %q is on %s since %s, and %s has not handled it",
				l.Type, l.Key, l.Topic, round(now.Sub(l.at)), c.group)
		default:
			open++
		}
	}
	return open
}

// setAside reports whether the consumer could not apply the letter and has said so in a dead letter.
func (m *mail) setAside(l *letter) bool {
	_, aside := m.letters[address{l.EventID, contracts.DeadLetterTopic(l.Topic)}]
	return aside
}

// count is 1 the first time it is asked, and 0 from then on.
func (l *letter) count() int64 {
	if l.counted {
		return 0
	}
	l.counted = true
	return 1
}

// isOpen reports whether a row is still waited for.
func (m *mail) isOpen(w row) bool {
	l, kept := m.letters[address{w.EventID, w.Topic}]
	return kept && !l.delivered
}

// forget drops what is done with.
func (m *mail) forget() {
	for at, l := range m.letters {
		if _, expected := l.handledBy(); l.delivered && (l.handled || !expected) && l.Age > recent {
			delete(m.letters, at)
		}
	}
	for k, w := range m.last {
		if _, kept := m.letters[address{w.EventID, w.Topic}]; !kept {
			delete(m.last, k)
		}
	}
	for cause, w := range m.answers {
		if _, kept := m.letters[address{w.EventID, w.Topic}]; !kept {
			delete(m.answers, cause)
		}
	}
}
