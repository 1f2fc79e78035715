package publish

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	// How many databases share a producer. Each of them has few rows; with more it takes a producer
	// of its own.
	sharesPerClient = 16
	// SharedRows is how many rows of one database may be with a producer that it shares.
	SharedRows = 4096
	// How many complaints of a client wait for a loop that is busy. Those beyond are dropped: it
	// will hear of the next.
	sharedComplaints = 16
)

// shared is a low-latency producer that several databases send with.
type shared struct {
	clients *Clients
	client  *client
	opened  time.Time
	reading sync.WaitGroup

	// Guarded by Clients.mu.
	shares map[*share]struct{}
	ended  bool // a row was refused, or the client has failed

	retired atomic.Bool // by Producer.Retire
}

// share is what one database has in a producer.
type share struct {
	of *shared
	// deliveries has room for every row that may be in flight, so that a loop that is busy holds up
	// no neighbour.
	deliveries chan kafka.Event
	complaints chan kafka.Event
}

func openShared(c *Clients) (*shared, error) {
	client, err := Settings{Profile: LowLatency}.open(c.config, "outbox-relay", c.log)
	if err != nil {
		return nil, err
	}
	s := &shared{clients: c, client: client, opened: time.Now(), shares: map[*share]struct{}{}}
	s.reading.Go(s.forward)
	return s, nil
}

// join is called with Clients.mu locked.
func (s *shared) join() *share {
	own := &share{of: s, deliveries: make(chan kafka.Event, SharedRows), complaints: make(chan kafka.Event, sharedComplaints)}
	s.shares[own] = struct{}{}
	return own
}

// forward passes what the client complains of to all who share it. Deliveries go to their channels
// by themselves.
func (s *shared) forward() {
	for event := range s.client.Events() {
		s.tell(event)
	}
}

func (s *shared) tell(event kafka.Event) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	for own := range s.shares {
		select {
		case own.complaints <- event:
		default:
		}
	}
}

// end is called by the first who notices that the producer is over. All others are notified, and
// answered about their rows.
func (s *shared) end() {
	s.clients.mu.Lock()
	again := s.ended
	s.ended = true
	s.clients.withhold(s)
	s.clients.mu.Unlock()
	if again {
		return
	}
	purge(s.client.Producer)
	s.tell(kafka.NewError(kafka.ErrFatal, "the producer has ended, and others that share it go on with another", true))
}

// leave gives up a share. The last one closes the client.
func (s *shared) leave(own *share) {
	s.clients.mu.Lock()
	delete(s.shares, own)
	last := len(s.shares) == 0
	if last {
		s.clients.withhold(s)
	}
	s.clients.mu.Unlock()
	if !last {
		return
	}
	s.client.close()
	s.reading.Wait()
}

// Shared says whether others send with the same client.
func (p *Producer) Shared() bool { return p.share != nil }

// Complaints carries what the client of a shared producer complains of (kafka.Error). It is nil for
// one that is not shared, whose Events have it.
func (p *Producer) Complaints() <-chan kafka.Event {
	if p.share == nil {
		return nil
	}
	return p.share.complaints
}

// Retire lets nobody else share the producer's client, and asks those who do to take another as
// soon as they have nothing in flight: one that looks at the topics afresh.
func (p *Producer) Retire() {
	s := p.share.of
	s.retired.Store(true)
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	s.clients.withhold(s)
}

// Retired says whether somebody has retired the client.
func (p *Producer) Retired() bool { return p.share != nil && p.share.of.retired.Load() }

// Opened is when the client was opened.
func (p *Producer) Opened() time.Time {
	if p.share != nil {
		return p.share.of.opened
	}
	return p.opened
}
