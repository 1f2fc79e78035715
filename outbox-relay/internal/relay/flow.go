package relay

import (
	"slices"
	"time"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

// flow is what the loop holds of one topic. Topics are kept apart so that one whose broker takes
// nothing costs itself alone.
type flow struct {
	topic    string
	allowed  bool                    // by the settings; if not, no broker is asked about it
	queue    []*source.Row           // read and not sent yet, in order
	sent     int                     // rows in the producer that are not answered
	rows     int                     // rows in memory that are not completed
	exists   bool                    // a broker has said so
	askAgain time.Time               // not before, whether it exists
	refusal  *publish.PermanentError // what a broker says of the topic
	progress time.Time               // of the last acknowledgement, or of the first row after there was none
	isolator *isolator               // at work on a refused request; all else of the topic waits
	listed   bool                    // among flows.queued
	gate     gate                    // what the producer in use may have in flight
}

// flows are the topics that rows have come for.
type flows struct {
	allowed Topics
	byTopic map[string]*flow
	last    *flow   // that was asked for
	queued  []*flow // that have a queue
}

func newFlows(allowed Topics) *flows { return &flows{allowed: allowed, byTopic: map[string]*flow{}} }

// Of topics that nothing is in flight for, no more than this many are remembered.
const maxFlows = 4096

func (f *flows) of(topic string) *flow {
	if f.last != nil && f.last.topic == topic {
		return f.last
	}
	found := f.byTopic[topic]
	if found == nil {
		if len(f.byTopic) >= maxFlows {
			f.forget()
		}
		found = &flow{topic: topic, allowed: f.allowed.Allow(topic)}
		f.byTopic[topic] = found
	}
	f.last = found
	return found
}

func (f *flows) forget() {
	f.last = nil
	for topic, flow := range f.byTopic {
		if flow.rows == 0 && !flow.listed {
			delete(f.byTopic, topic)
		}
	}
}

// recent returns topics whose rows were published lately, a hundred at most.
func (f *flows) recent(now time.Time) (topics []string) {
	for topic, flow := range f.byTopic {
		if flow.exists && now.Sub(flow.progress) < time.Minute && len(topics) < 100 {
			topics = append(topics, topic)
		}
	}
	return topics
}

func (f *flows) enqueue(to *flow, row *source.Row) {
	to.queue = append(to.queue, row)
	if !to.listed {
		to.listed = true
		f.queued = append(f.queued, to)
	}
}

const (
	// How old a topic's oldest row in flight is when it is parked so that others flow: at once if
	// there is no room left for them, later if they flow anyway, since it costs a producer.
	parkPressed = time.Second
	parkAnyway  = 10 * time.Second
)

// standing is what park goes by: one topic that has rows in memory, or had some lately.
type standing struct {
	topic string
	age   time.Duration // of its oldest row that is not answered
	moves bool          // rows were acknowledged lately
}

// park returns the topics that have to be parked so that others flow on. Where several topics have
// rows and none moves, it is the brokers: rows wait in the database, and to park them would help
// nobody. A topic that is alone is parked to find out whether there are others behind it.
func park(all []standing, pressed bool) (topics []string) {
	moving := slices.ContainsFunc(all, func(s standing) bool { return s.moves && s.age < parkPressed })
	for _, s := range all {
		switch {
		case moving && (s.age >= parkAnyway || pressed && s.age >= parkPressed && !s.moves),
			moving && pressed && s.age >= 2*parkPressed,
			len(all) == 1 && pressed && s.age >= parkAnyway:
			topics = append(topics, s.topic)
		}
	}
	return topics
}
