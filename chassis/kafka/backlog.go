package kafka

import (
	"cmp"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v5"

	"waybill.example/chassis/fault"
	"waybill.example/sdk/inbox"
)

// sequence is what keeps its order: the messages of a key, within a partition.
type sequence struct {
	partition inbox.Partition
	key       string
}

// messageKind is what a breaker is about: messages of one type on one topic run through the same
// code and the same statements.
type messageKind struct{ topic, typ string }

// position is where a message stands.
type position struct {
	partition inbox.Partition
	offset    int64
}

func sequenceOf(m inbox.Delivery) sequence { return sequence{partitionOf(m), string(m.Key)} }
func positionOf(m inbox.Delivery) position { return position{partitionOf(m), m.Offset} }

func kindOf(m inbox.Delivery) messageKind {
	for _, h := range m.Headers {
		if h.Key == "ce_type" {
			return messageKind{m.Topic, string(h.Value)}
		}
	}
	return messageKind{topic: m.Topic}
}

func byPosition(a, b inbox.Delivery) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// backlog is what cannot be applied now. It belongs to the consumer's goroutine.
type backlog struct {
	keys      map[sequence]*held
	count     map[inbox.Partition]int // messages held, those behind others included
	breakers  map[messageKind]*breaker
	restUntil time.Time // until when none of them is tried

	lastAtFault bool // what due returned last
}

func newBacklog() backlog {
	return backlog{
		keys: make(map[sequence]*held), count: make(map[inbox.Partition]int), breakers: make(map[messageKind]*breaker),
	}
}

// locked says whether a message waits for a lock.
func (b *backlog) locked() bool {
	for _, h := range b.keys {
		if h.fault.Reason == reasonLock {
			return true
		}
	}
	return false
}

func (b *backlog) empty() bool { return len(b.keys) == 0 }

func (b *backlog) has(h *held) bool { return b.keys[sequenceOf(h.message)] == h }

func (b *backlog) add(m inbox.Delivery, f fault.Fault, err error) *held {
	h := &held{message: m, fault: f, err: err, pause: newBackoff()}
	b.keys[sequenceOf(m)] = h
	b.count[partitionOf(m)]++
	return h
}

func (b *backlog) remove(h *held) {
	p := partitionOf(h.message)
	delete(b.keys, sequenceOf(h.message))
	if b.count[p] -= 1 + len(h.followers); b.count[p] <= 0 {
		delete(b.count, p)
	}
}

// drop forgets a partition.
func (b *backlog) drop(p inbox.Partition) {
	delete(b.count, p)
	maps.DeleteFunc(b.keys, func(s sequence, _ *held) bool { return s.partition == p })
}

// each calls f with every message.
func (b *backlog) each(f func(inbox.Delivery)) {
	for _, h := range b.keys {
		f(h.message)
		for _, m := range h.followers {
			f(m)
		}
	}
}

// first returns the lowest offset held of each partition.
func (b *backlog) first() map[inbox.Partition]int64 {
	first := make(map[inbox.Partition]int64)
	for _, h := range b.keys {
		p := partitionOf(h.message)
		if offset, ok := first[p]; !ok || h.message.Offset < offset {
			first[p] = h.message.Offset
		}
	}
	return first
}

// due returns the message whose turn it is, of those whose time has come: one that fails for a
// fault of its own, and one that waits for something else, in turn. The latter take turns among
// each other. Of the former the one that failed first has all of its attempts before the next:
// where such messages are found faster than they are set aside, each would otherwise wait, time and
// again, for all that were found meanwhile.
func (b *backlog) due(now time.Time) *held {
	var atFault, waiting *held
	for _, h := range b.keys {
		switch {
		case b.dueAt(h).After(now):
		case b.atFault(h):
			atFault = earlier(atFault, h, func(h *held) time.Time { return h.since })
		default:
			waiting = earlier(waiting, h, func(h *held) time.Time { return h.next })
		}
	}
	if waiting != nil && (atFault == nil || b.lastAtFault) {
		b.lastAtFault = false
		return waiting
	}
	b.lastAtFault = atFault != nil
	return atFault
}

// atFault says whether a message waits to be set aside. Of a suspended kind none does: any of them
// may be the one that succeeds.
func (b *backlog) atFault(h *held) bool {
	return h.ownFault() && !b.breakers[kindOf(h.message)].open()
}

// earlier returns the message whose turn comes first. It may be given nil for a.
func earlier(a, b *held, turn func(*held) time.Time) *held {
	if a == nil {
		return b
	}
	if c := cmp.Or(turn(a).Compare(turn(b)), cmp.Compare(a.message.Offset, b.message.Offset)); c <= 0 {
		return a
	}
	return b
}

// dueAt is when the message may be tried. Of a kind that is suspended only one is tried at a time.
func (b *backlog) dueAt(h *held) time.Time {
	if breaker := b.breakers[kindOf(h.message)]; breaker.open() && breaker.next.After(h.next) {
		return breaker.next
	}
	return h.next
}

// wait returns how long there is nothing to do here, at most so long.
func (b *backlog) wait(most time.Duration) time.Duration {
	if b.empty() {
		return most
	}
	now := time.Now()
	for _, h := range b.keys {
		most = min(most, max(b.dueAt(h).Sub(now), b.restUntil.Sub(now)))
	}
	return max(most, time.Millisecond)
}

// takeWaiting takes out everything that is not held for a fault of its own, after one message went
// through that could not before. Those that have failed for one stay, and are tried one at a time,
// also where that is forgotten now that their kind is not suspended any more: together they would
// be a row of messages that fail alike, and suspend it again, each time that one succeeds.
func (b *backlog) takeWaiting() []inbox.Delivery {
	var messages []inbox.Delivery
	for _, h := range b.keys {
		if !h.ownFault() {
			messages = append(append(messages, h.message), h.followers...)
			b.remove(h)
		}
	}
	return messages
}

// breaker counts different messages of a kind that fail alike, with none between them that
// succeeds. From then on it is open: the cause is not in the messages.
type breaker struct {
	fault fault.Fault
	count int
	pause *backoff.ExponentialBackOff
	next  time.Time
}

// breakerOpens is how many messages have to fail alike, one after the other.
const breakerOpens = 5

func (b *breaker) open() bool { return b != nil && b.count >= breakerOpens }

// countFailure counts a message that failed alone, and says whether that has opened its kind's
// breaker. Locks and conflicts do not count: they concern rows, and other messages need other rows.
func (b *backlog) countFailure(m inbox.Delivery, f fault.Fault) (opened bool) {
	if f.Kind == fault.Conflict || f.Reason == reasonLock {
		return false
	}
	kind := kindOf(m)
	known := b.breakers[kind]
	if known == nil || known.fault.Alike != f.Alike {
		known = &breaker{fault: f, pause: newBackoff()}
		b.breakers[kind] = known
	}
	if known.open() {
		return false
	}
	known.count++
	return known.open()
}

// reasonLock is the reason of faults for which Blockers are named.
const reasonLock = "lock"

// postponeProbe postpones the next attempt of a kind that is suspended.
func (b *backlog) postponeProbe(m inbox.Delivery) {
	if known := b.breakers[kindOf(m)]; known.open() {
		known.next = time.Now().Add(known.pause.NextBackOff())
	}
}

// succeeded closes the breakers of messages that were applied. What they held up is due.
func (b *backlog) succeeded(batch []inbox.Delivery) {
	if len(b.breakers) == 0 {
		return
	}
	for _, m := range batch {
		if b.breakers[kindOf(m)].open() {
			b.resetFailures(kindOf(m))
		}
		delete(b.breakers, kindOf(m))
	}
}

// resetFailures has what was held while its kind was suspended retried from the beginning: until
// now it was not its own fault.
func (b *backlog) resetFailures(kind messageKind) {
	for _, h := range b.keys {
		if kindOf(h.message) == kind {
			h.counted, h.next = 0, time.Now()
			h.pause.Reset()
		}
	}
}
