package sagasim

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Message is what travels.
type Message struct {
	// Message is what the engine is given of it.
	saga.Message
	Topic string
	// Body is what participants read.
	Body any
	// InReplyTo is the command that a message answers which was sent before, in answer to another.
	InReplyTo uuid.UUID
	// Content is what must be the same whenever the message comes under its id; empty stands for
	// Data.
	Content string
	// digest is of type, key and content; the inbox tells messages of one id apart by it.
	digest uint64
}

func (m Message) String() string { return fmt.Sprintf("%s of %s", m.Type, m.Key) }

func (m *Message) digested() uint64 {
	if m.digest == 0 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m.Type + "\x00" + m.Key + "\x00" + m.Content))
		if m.Content == "" {
			_, _ = h.Write(m.Data)
		}
		m.digest = max(h.Sum64(), 1)
	}
	return m.digest
}

const partitions = 3

// topic is a log in partitions, as Kafka has it.
type topic struct {
	name  string
	logs  [partitions][]record
	lanes []*lane // of those who read it
}

type record struct {
	Message
	at time.Duration
}

func partitionOf(key string) int {
	h := uint32(0)
	for i := range len(key) {
		h = h*31 + uint32(key[i])
	}
	return int(h % partitions)
}

func (w *World) topic(name string) *topic {
	t, ok := w.topics[name]
	if !ok {
		t = &topic{name: name}
		w.topics[name] = t
	}
	return t
}

// append is the broker: a message is in the log, and every reader will see it.
func (w *World) append(m Message) {
	m.digested()
	t, p := w.topic(m.Topic), partitionOf(m.Key)
	t.logs[p] = append(t.logs[p], record{m, w.now})
	for _, l := range t.lanes {
		if l.partition == p {
			l.wake(0)
		}
	}
}

// send is the way to the broker, and all that can happen on it.
func (w *World) send(m Message) {
	if w.mood.ordered {
		w.append(m)
		if w.wrong(w.mood.duplicate) {
			w.Count(Duplicated)
			w.append(m)
		}
		return
	}
	if w.wrong(w.mood.lose) {
		w.Count(Lost)
		w.Tracef("%s is lost", m)
		return
	}
	copies := 1
	if w.wrong(w.mood.duplicate) {
		w.Count(Duplicated)
		copies++
	}
	for range copies {
		delay := w.Within(20 * time.Millisecond)
		if w.wrong(w.mood.slow) {
			w.Count(Delayed)
			delay = w.Within([]time.Duration{time.Second, 10 * time.Second, 2 * time.Minute}[w.Pick(3)])
		}
		w.Later(delay, func() { w.append(m) })
	}
}

// relay publishes what a service has committed to its outbox, in its order.
type relay struct {
	s      *Service
	paused time.Duration // until when
	busy   bool
}

func (r *relay) wake() {
	if r.busy {
		return
	}
	r.busy = true
	w := r.s.w
	wait := w.Within(5 * time.Millisecond)
	if w.wrong(w.mood.slow * w.mood.delayRelay) {
		w.Count(Delayed)
		wait = w.Within(10 * time.Second)
	}
	w.At(max(w.now+wait, r.paused), r.publish)
}

// publish can crash between the broker's acknowledgement and the note of it, and publishes again
// then.
func (r *relay) publish() {
	r.busy = false
	w, db := r.s.w, &r.s.store
	if r.paused > w.now {
		r.wake()
		return
	}
	rows := db.outbox[db.cursor:]
	for _, m := range rows {
		w.send(m)
	}
	if len(rows) > 0 && w.wrong(w.mood.crash) {
		w.Count(RelayRepeats)
		w.Tracef("the relay of %s crashes before it has noted what it published", r.s.name)
		r.paused = w.now + w.Within(5*time.Second)
		r.wake()
		return
	}
	db.cursor = len(db.outbox)
}
