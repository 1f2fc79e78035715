package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

// row is an outbox row.
type row struct {
	Database string
	ID       int64
	EventID  uuid.UUID
	Topic    string
	Key      string
	Type     string
	Digest   string    // of the payload
	Cause    uuid.UUID // the message that it answers; Nil where there is none
	Age      time.Duration
	// Published: the relay's cursor has it, and had it before the topics were read.
	Published bool
	// Stuck: it is in outbox_stuck, refused or parked.
	Stuck bool
	// Reason: why a consumer has set it aside; of a dead letter.
	Reason string
	// Letter is the id of a dead letter that waits for an operator; 0: none does.
	Letter int64
	// Settled: an operator has redriven, discarded or replaced a dead letter.
	Settled bool
	// InReplyTo is the command that an event answers which was there before; Nil where it answers
	// none so.
	InReplyTo uuid.UUID
}

// inboxID is the id under which the orchestrator knows it, or any other consumer.
func (w row) inboxID() uuid.UUID {
	if w.InReplyTo == uuid.Nil {
		return w.EventID
	}
	return contracts.ReplyID(w.EventID, w.InReplyTo)
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

// delivery is an outbox row and what became of it.
type delivery struct {
	row
	delivered bool
	handled   bool
	counted   bool      // as handled
	at        time.Time // when it was produced first
	repair    string    // of a dead letter that waits
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
		contracts.TypeConfirmOrder, contracts.TypeCancelOrder, contracts.TypeRefuseCancel,
	}},
	contracts.TopicInventoryCommands: {contracts.GroupInventory, "inventory", []contracts.Type{
		contracts.TypeReserveInventory, contracts.TypeReleaseInventory,
	}},
}

// handledBy returns who has to handle the delivery.
func (l delivery) handledBy() (consumer, bool) {
	c, ok := consumers[l.Topic]
	return c, ok && slices.Contains(c.types, contracts.Type(l.Type))
}

// keyed is a key on a topic: what order is kept for.
type keyed struct{ topic, key string }

// messageKey tells deliveries apart. A dead letter has the id of the message that it sets aside, so
// the id alone does not.
type messageKey struct {
	id    uuid.UUID
	topic string
}

// deliveries is what the audit remembers of rows and messages from pass to pass.
type deliveries struct {
	deliveries map[messageKey]*delivery // rows that are not done with
	last       map[keyed]row            // the row whose message was the last to come, of each key
	answers    map[uuid.UUID]row        // by the message that was answered
	// unordered holds rows up to which order is unknown, by database: the topics on which they
	// stood were lost, and they were sent again.
	unordered map[string]int64
}

func newDeliveries(unordered map[string]int64) *deliveries {
	return &deliveries{deliveries: map[messageKey]*delivery{}, last: map[keyed]row{}, answers: map[uuid.UUID]row{}, unordered: unordered}
}

// record takes rows, and what is new about rows that are known. It returns those that are new.
func (m *deliveries) record(rows []row, r *results) (added []row) {
	for _, w := range rows {
		known, again := m.deliveries[messageKey{w.EventID, w.Topic}]
		switch {
		case again && known.Database == w.Database && known.ID == w.ID:
			known.row = w
			continue
		case again && isDeadLetter(w.Topic):
			continue // two broken messages that claim the same id
		case again && known.same(w):
			continue // what happened once is recorded once, however often it is sent
		case again:
			r.keep(Once, w.subject(), repairShowRow(w), "has the event id of %s: %s", known.subject(), w.EventID)
			continue
		}
		m.deliveries[messageKey{w.EventID, w.Topic}] = &delivery{row: w}
		m.answer(w, r)
		added = append(added, w)
	}
	return added
}

// same reports whether two rows are the same message: an event that is sent again in answer to a
// command that was asked again has its id and its body.
func (w row) same(other row) bool {
	return w.Database == other.Database && w.Key == other.Key && w.Type == other.Type && w.Digest == other.Digest
}

// recall takes rows that were done with and forgotten, as what new rows of their key are compared
// with.
func (m *deliveries) recall(rows []row) {
	for _, w := range rows {
		at := messageKey{w.EventID, w.Topic}
		if _, known := m.deliveries[at]; known {
			continue
		}
		m.deliveries[at] = &delivery{row: w, delivered: true, handled: true, counted: true}
		if k := (keyed{w.Topic, w.Key}); m.last[k].ID < w.ID {
			m.last[k] = w
		}
		if _, some := m.answers[w.Cause]; !some && m.answering(w) {
			m.answers[w.Cause] = w
		}
	}
}

// answering reports whether a row answers a message. The orchestrator's own effects are counted
// where its sagas are read.
func (m *deliveries) answering(w row) bool {
	return w.Cause != uuid.Nil && !isDeadLetter(w.Topic) && w.Database != "orchestrator"
}

// answer remembers what was answered. Orders and Inventory answer each command once, whatever they
// do about it.
func (m *deliveries) answer(w row, r *results) {
	if !m.answering(w) {
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

// observe marks rows as delivered, in the order in which their messages stand on each partition,
// and returns the messages that belong to no known row.
//
// Order: an outbox id is drawn after the transaction has the lock that decides which of two writers
// of a key is first (outbox.Append asks for that), so of two rows of a key the one with the higher
// id is the later one, and its message must come later. A message that comes again, after a crash
// or by a replay, says nothing about order: only its first occurrence does.
func (m *deliveries) observe(messages []message, r *results) (unknown []message) {
	for _, msg := range messages {
		l, known := m.deliveries[messageKey{msg.EventID, msg.Topic}]
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

// missing finds the rows that are not on their topic and should be. since is when each topic
// begins.
func (m *deliveries) missing(now time.Time, since map[string]time.Time, limits Limits, r *results) (open int) {
	lost, waiting := groups{}, groups{}
	defer func() { lost.lost(r); waiting.waiting(r) }()
	for _, l := range m.deliveries {
		switch {
		case l.delivered || l.Stuck: // a stuck row is trouble, and reported as such
		case l.Published && now.Add(-l.Age).Before(since[l.Topic]): // the topic has forgotten it
		case l.Published:
			lost.add(l.row, l.Age)
		case l.Age > limits.Overdue:
			waiting.add(l.row, l.Age)
		default:
			open++
		}
	}
	return open
}

// unhandled finds the messages that no consumer has handled and should have.
func (m *deliveries) unhandled(now time.Time, limits Limits, r *results) (open int) {
	late := groups{}
	defer func() { late.unhandled(r) }()
	for _, l := range m.deliveries {
		_, expected := l.handledBy()
		switch {
		case !expected || !l.delivered:
		case l.handled || m.setAside(l):
			l.handled = true
			r.looked[Handled] += l.count()
		case now.Sub(l.at) > limits.Overdue:
			late.add(l.row, now.Sub(l.at))
		default:
			open++
		}
	}
	return open
}

// setAside reports whether the consumer could not apply the delivery and has said so in a dead
// delivery.
func (m *deliveries) setAside(l *delivery) bool {
	_, aside := m.deliveries[messageKey{l.EventID, contracts.DeadLetterTopic(l.Topic)}]
	return aside
}

// count is 1 the first time it is asked, and 0 from then on.
func (l *delivery) count() int64 {
	if l.counted {
		return 0
	}
	l.counted = true
	return 1
}

// done reports whether nothing more can become of a delivery. A dead letter is trouble until an
// operator has settled it.
func (l delivery) done() bool {
	_, expected := l.handledBy()
	return l.delivered && (l.handled || !expected) && (l.Settled || !isDeadLetter(l.Topic))
}

// open returns the rows of a database that are still waited for.
func (m *deliveries) open(database string) (ids []int64) {
	for _, l := range m.deliveries {
		if l.Database == database && !l.done() {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

// expire drops the rows that were asked for and are no longer there: retention has removed them.
func (m *deliveries) expire(database string, asked []int64, rows []row) {
	there := make(map[int64]bool, len(rows))
	for _, w := range rows {
		there[w.ID] = true
	}
	gone := map[int64]bool{}
	for _, id := range asked {
		gone[id] = !there[id]
	}
	for at, l := range m.deliveries {
		if l.Database == database && gone[l.ID] {
			delete(m.deliveries, at)
		}
	}
}

// forget drops what is done with, of the rows that are not read again.
func (m *deliveries) forget(scanned map[string]int64) {
	for at, l := range m.deliveries {
		if l.done() && l.ID <= scanned[l.Database] {
			delete(m.deliveries, at)
		}
	}
	for k, w := range m.last {
		if _, kept := m.deliveries[messageKey{w.EventID, w.Topic}]; !kept {
			delete(m.last, k)
		}
	}
	for cause, w := range m.answers {
		if _, kept := m.deliveries[messageKey{w.EventID, w.Topic}]; !kept {
			delete(m.answers, cause)
		}
	}
}
