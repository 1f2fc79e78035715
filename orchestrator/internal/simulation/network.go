package simulation

import (
	"time"

	"github.com/google/uuid"

	"waybill/contracts"
)

// service is a process with a database: what it has handled, what it will
// publish, and when it is back if it is away.
type service struct {
	w      *world
	name   string
	inbox  map[uuid.UUID]bool
	outbox outbox
	away   time.Duration // until when
	// handle applies a message that is new and returns what it causes.
	handle func(contracts.Message) []contracts.Message
}

func newService(w *world, name string, handle func(contracts.Message) []contracts.Message) service {
	return service{w: w, name: name, inbox: map[uuid.UUID]bool{}, outbox: outbox{w: w, name: name}, handle: handle}
}

// outage takes a service away for a while.
func (w *world) outage(s *service, length time.Duration) {
	w.result.Faults.Outages++
	s.away = max(s.away, w.now+length)
	w.trace("%s is away for %s", s.name, length.Round(time.Second))
}

// crash restarts a service.
func (s *service) crash() { s.away = max(s.away, s.w.now+s.w.within(3*time.Second)) }

// deliver gives a message to the service, which applies it in a transaction
// and then commits the offset. It can crash before each of the two.
func (s *service) deliver(m contracts.Message) {
	w := s.w
	if s.away > w.now {
		w.at(s.away+w.within(time.Second), func() { s.deliver(m) })
		return
	}
	if w.chance(w.mood.crash) {
		w.result.Faults.CrashesBefore++
		s.crash()
		if w.config.Bug == OffsetFirst && s == &w.orchestrator.service {
			w.trace("%s crashes with %s in hand; its offset is committed", s.name, about(m))
			return
		}
		w.trace("%s crashes before it commits %s", s.name, about(m))
		w.at(s.away, func() { s.deliver(m) })
		return
	}
	s.apply(m)
	if w.chance(w.mood.crash) {
		w.result.Faults.CrashesAfter++
		w.trace("%s crashes after it committed %s", s.name, about(m))
		s.crash()
		w.at(s.away, func() { s.deliver(m) })
	}
}

// apply is the transaction: inbox, effect and outbox at once.
func (s *service) apply(m contracts.Message) {
	id := m.Meta().EventID
	if s.inbox[id] {
		return
	}
	s.inbox[id] = true
	s.w.trace("%s handles %s", s.name, about(m))
	s.outbox.append(s.handle(m)...)
}

// outbox keeps what a service has committed; its relay publishes it.
type outbox struct {
	w    *world
	name string
	rows []contracts.Message
}

func (o *outbox) append(messages ...contracts.Message) {
	for _, m := range messages {
		o.rows = append(o.rows, m)
		o.w.at(o.w.now+o.w.within(10*time.Millisecond), func() { o.publish(m) })
	}
}

// publish is the relay. It can crash between the broker's acknowledgement and
// its own note of it, and then publishes again.
func (o *outbox) publish(m contracts.Message) {
	o.w.send(m)
	if o.w.chance(o.w.mood.crash) {
		o.w.result.Faults.RelayRepeats++
		o.w.at(o.w.now+o.w.within(5*time.Second), func() { o.w.send(m) })
	}
}

func (o *outbox) replay() {
	o.w.trace("the outbox of %s is replayed", o.name)
	for _, m := range o.rows {
		o.w.at(o.w.now+o.w.within(time.Minute), func() { o.w.send(m) })
	}
}

// send is Kafka and all that is around it.
func (w *world) send(m contracts.Message) {
	if w.chance(w.mood.lose) {
		w.result.Faults.Lost++
		w.trace("%s is lost", about(m))
		return
	}
	copies := 1
	if w.chance(w.mood.duplicate) {
		w.result.Faults.Duplicated++
		copies++
	}
	for range copies {
		// A few milliseconds in any order; sometimes so long that deadlines pass.
		delay := time.Millisecond + w.within(20*time.Millisecond)
		if w.chance(w.mood.slow) {
			w.result.Faults.Delayed++
			delay = w.within([]time.Duration{time.Second, 10 * time.Second, 2 * time.Minute}[w.dice.IntN(3)])
		}
		w.at(w.now+delay, func() { w.arrive(m) })
	}
}

// arrive hands a message to whoever consumes its topic.
func (w *world) arrive(m contracts.Message) {
	topic, _ := contracts.TopicOf(m.Meta().Type)
	switch topic {
	case contracts.TopicOrderCommands:
		w.orders.deliver(m)
	case contracts.TopicInventoryCommands:
		w.inventory.deliver(m)
	default:
		w.orchestrator.observeOrder(m)
		w.orchestrator.deliver(m)
	}
}
