package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/contracts"
)

// The parts of which the time of an order consists. Each begins where the one before it ends.
const (
	// PartTransaction is work in a service's transaction, from its beginning to the moment that the
	// next message was written.
	PartTransaction = "transaction"
	// PartRelay is the rest of that transaction with its commit, and the wait for the relay: until
	// its producer took the message.
	PartRelay = "commit and relay"
	// PartAppend is the same until the broker appended the record, on topics with LogAppendTime.
	PartAppend = "commit, relay and broker"
	// PartBroker is the way to the broker and from it, and the wait in the consumer's queue: until
	// the transaction that handled the message began.
	PartBroker = "broker and queue"
	// PartQueue is the same from the moment that the broker appended the record.
	PartQueue = "queue"
	// PartUnsplit is everything from the row to the handling, where the record's own time is not
	// known.
	PartUnsplit = "relay, broker and queue"
	// PartWait is time that nothing happened: a saga waited for a deadline or an operator.
	PartWait = "waited"
	// PartOpen is what has not ended yet.
	PartOpen = "until now"
)

// Place names one record in Kafka.
type Place struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Record is what is known of a record in Kafka.
type Record struct {
	At time.Time
	// Appended reports that At is the broker's clock when it appended the record, and not that of
	// the producer when it took it.
	Appended bool
	// Key, Type and EventID are those that the record says; empty where it says none.
	Key, Type, EventID string
}

// Leg is one part of a bill.
type Leg struct {
	Hop  string    `json:"hop" doc:"The message that the time was spent on, and from where to where"`
	Part string    `json:"part" doc:"What it was spent on"`
	From time.Time `json:"from"`
	MS   float64   `json:"ms"`
}

// Bill is where the time of one order went.
type Bill struct {
	From    time.Time          `json:"from"`
	To      time.Time          `json:"to"`
	TotalMS float64            `json:"totalMs" doc:"The sum of the legs"`
	Legs    []Leg              `json:"legs" nullable:"false" doc:"In their order; each begins where the one before it ends"`
	Parts   map[string]float64 `json:"parts" doc:"The same in milliseconds, by what it was spent on"`
	Notes   []string           `json:"notes,omitempty" doc:"What could not be known, and how far the clocks disagree"`
}

// hop is a message on the way that led to the end.
type hop struct {
	message  Message
	from     string // database
	delivery *Delivery
	to       string // database
	// waited reports that no message led to this one: a deadline did, or an operator.
	waited bool
}

// Bill makes the bill of an order: the last thing that is known of it, and from there back the
// message that led to each message. Every instant is at least the one before it, so no part is
// negative and the parts are the whole; where a clock had to be bent for that, a note says how far.
// It is nil where no message is known.
func (s Evidence) Bill() *Bill {
	hops := s.path()
	if len(hops) == 0 {
		return nil
	}
	b := &billing{Bill: Bill{Legs: []Leg{}, Parts: map[string]float64{}}, now: s.Now}
	first := hops[0]
	b.begin(first.message.CreatedAt, first.from)
	switch service, ok := s.orderService(); {
	case !ok:
	case service.Name != first.from:
		b.note(fmt.Sprintf("What led to %s could not be read: the time before it is left out.", first.message.Type))
	default:
		i := slices.IndexFunc(service.Facts, func(fact Fact) bool { return fact.Kind == Accepted })
		b.begin(service.Facts[i].At, first.from)
		b.leg("order accepted by "+first.from, PartTransaction, first.message.CreatedAt, first.from)
		b.note("What an HTTP request takes before its transaction begins and after its commit is not recorded.")
	}
	for i, h := range hops {
		if i > 0 {
			part := PartTransaction
			if h.waited {
				part = PartWait
			}
			b.leg(fmt.Sprintf("%s wrote %s", h.from, h.message.Type), part, h.message.CreatedAt, h.from)
		}
		s.carried(b, h)
	}
	b.To = b.at
	b.TotalMS = milliseconds(b.To.Sub(b.From))
	return &b.Bill
}

// carried adds the way of a message from its row to its handling.
func (s Evidence) carried(b *billing, h hop) {
	name := fmt.Sprintf("%s: %s → %s", h.message.Type, h.from, h.to)
	if h.delivery == nil {
		name = fmt.Sprintf("%s: %s → ?", h.message.Type, h.from)
		if s.Saga == nil || !s.Saga.Phase.Ended() {
			b.leg(name, PartOpen, b.now, h.from)
		}
		return
	}
	record, known := s.Records[Place{h.delivery.Topic, h.delivery.Partition, h.delivery.Offset}]
	switch {
	case !known:
		b.leg(name, PartUnsplit, h.delivery.At, h.to)
		b.note("The records of some messages could not be read (expired, or this login may not): their relay, broker and queue are one part.")
	case record.Appended:
		b.leg(name, PartAppend, record.At, "the broker")
		b.leg(name, PartQueue, h.delivery.At, h.to)
	default:
		b.leg(name, PartRelay, record.At, "the relay")
		b.leg(name, PartBroker, h.delivery.At, h.to)
	}
}

// path returns the messages that led to the last thing that happened, the first one first.
func (s Evidence) path() []hop {
	var last *hop
	all := map[uuid.UUID]*hop{}
	for _, d := range s.Databases {
		for _, m := range d.Sent {
			if m.Reason != "" {
				continue // a dead letter is no step on the way
			}
			h := &hop{message: m, from: d.Name}
			if delivery, to, handled := s.deliveryOf(m.EventID, d.Name); handled {
				h.delivery, h.to = &delivery, to
			}
			all[m.EventID] = h
			if last == nil || h.end().After(last.end()) {
				last = h
			}
		}
	}
	var path []hop
	for seen := map[uuid.UUID]bool{}; last != nil && !seen[last.message.EventID]; {
		seen[last.message.EventID] = true
		cause, waited := s.causeOf(last.message)
		last.waited = waited
		path = append(path, *last)
		last = all[cause]
	}
	slices.Reverse(path)
	return path
}

// end is the last that is known of a message.
func (h *hop) end() time.Time {
	if h.delivery != nil {
		return h.delivery.At
	}
	return h.message.CreatedAt
}

// causeOf returns the message that led to another; waited reports that a deadline or an operator
// did, and the message is the one that came before.
func (s Evidence) causeOf(m Message) (cause uuid.UUID, waited bool) {
	for i, line := range s.History {
		for _, c := range line.Commands {
			if c.ID != m.EventID {
				continue
			}
			for at := i; at >= 0; at-- {
				if id := s.History[at].CauseID; id != nil {
					if event, ok := s.eventOf(*id); ok {
						return event, at < i
					}
				}
			}
			return uuid.Nil, false
		}
	}
	if m.Cause != nil {
		return *m.Cause, false
	}
	return uuid.Nil, false
}

// eventOf finds the message that the saga's history knows by an id: a reply is known there by an id
// that is made of its own and of the command's.
func (s Evidence) eventOf(id uuid.UUID) (uuid.UUID, bool) {
	for _, d := range s.Databases {
		for _, m := range d.Sent {
			if m.EventID == id || m.Cause != nil && contracts.ReplyID(m.EventID, *m.Cause) == id {
				return m.EventID, true
			}
		}
	}
	return uuid.Nil, false
}

// billing is a bill that is being made.
type billing struct {
	Bill

	at  time.Time
	now time.Time
	who string // whose clock at is
}

func (b *billing) begin(at time.Time, who string) { b.From, b.at, b.who = at.UTC(), at.UTC(), who }

// leg adds the time until an instant of a clock. One that is before the leg's beginning is of a
// clock that is behind: the leg takes no time, and a note says how far.
func (b *billing) leg(hop, part string, until time.Time, who string) {
	until = until.UTC()
	if skew := b.at.Sub(until); skew > 0 {
		if skew >= clockResolution {
			b.note(fmt.Sprintf("The clock of %s is at least %s behind that of %s: %s (%s) may be longer than shown, and what is before it shorter.",
				who, round(skew), b.who, part, hop))
		}
		until = b.at
	}
	d := milliseconds(until.Sub(b.at))
	b.Legs = append(b.Legs, Leg{Hop: hop, Part: part, From: b.at, MS: d})
	b.Parts[part] += d
	b.at, b.who = until, who
}

// clockResolution is that of the times of records in Kafka.
const clockResolution = time.Millisecond

func (b *billing) note(text string) {
	if !slices.Contains(b.Notes, text) {
		b.Notes = append(b.Notes, text)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
