package relay

import (
	"sync"
	"time"
)

// State is what a source is doing.
type State string

// The states of a source.
const (
	Connecting State = "connecting" // to its database
	Standby    State = "standby"    // another relay leads
	Leading    State = "leading"
	Paused     State = "paused" // leading, and told to pause
)

// Status is a source's state as others see it.
type Status struct {
	Database string
	State    State
	Since    time.Time
	// Err is why the source is not relaying: its database, or what the database lacks. Nil while it
	// does.
	Err error
	// BrokerErr is what the Kafka client last complained of, and BrokerDownSince when it began; nil
	// since a broker has answered.
	BrokerErr       error
	BrokerDownSince time.Time
	// Waits are the topics whose rows have waited for the broker for some seconds, and since when.
	Waits map[string]time.Time
	// Vacuum is what holds back vacuum of the database for so long that the relay's tables suffer;
	// empty if nothing does.
	Vacuum string
}

// status is the part of a source that other goroutines may look at.
type status struct {
	mu      sync.Mutex
	current Status
}

func (s *status) set(state State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.State != state {
		s.current.State, s.current.Since = state, time.Now()
	}
	s.current.Err = err
	if state != Leading && state != Paused {
		s.current.Waits, s.current.Vacuum = nil, ""
	}
}

// setVacuum notes what holds back vacuum, and returns whether that is news.
func (s *status) setVacuum(holder string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.current.Vacuum != holder
	s.current.Vacuum = holder
	return news
}

// broker notes what the client says of the broker, and returns whether that is news.
func (s *status) broker(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := (err == nil) != (s.current.BrokerErr == nil)
	if news && err != nil {
		s.current.BrokerDownSince = time.Now()
	}
	s.current.BrokerErr = err
	return news
}

// setWaits notes which topics wait, and returns those that did not before.
func (s *status) setWaits(waits map[string]time.Time) (news []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic := range waits {
		if _, known := s.current.Waits[topic]; !known {
			news = append(news, topic)
		}
	}
	s.current.Waits = waits
	return news
}

// Status returns the source's state now. It is safe for concurrent use.
func (s *Source) Status() Status {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	current := s.status.current
	current.Database = s.name
	return current
}
