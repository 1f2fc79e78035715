package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"waybill.example/chassis/fault"
	"waybill.example/sdk/inbox"
)

// blockage is something that keeps messages from being applied.
type blockage struct {
	Reason   string
	Code     string // SQLSTATE, if it is one
	Messages int    // that wait for it, as far as they have been read
	Err      error
	Where    string // the first of them
}

// episode is a blockage while it lasts.
type episode struct {
	blockage
	since  time.Time
	logged bool
}

const (
	// blockedAfter is how long something may be in the way before it is worth a word: a conflict or
	// a restart of the database is over sooner.
	blockedAfter = time.Second
	// idleAfter is how long a member may wait for its group to be formed.
	idleAfter = 30 * time.Second
)

// status is what others may know about a consumer. Its own goroutine writes it; readiness and
// metrics read it.
type status struct {
	log *slog.Logger

	mu       sync.Mutex
	episodes map[string]*episode // by reason
	blockers []string            // who holds the lock that is waited for
	next     map[inbox.Partition]int64
	owned    map[inbox.Partition]bool
	began    time.Time // of the attempt that is under way; zero: none
	forming  time.Time // since when it has no partition and its group is being formed; zero: it is not
	formless bool      // that has been logged
	over     bool
	err      error // with which Run ended
}

func newStatus(log *slog.Logger) *status {
	return &status{log: log, episodes: make(map[string]*episode), next: make(map[inbox.Partition]int64), owned: make(map[inbox.Partition]bool)}
}

// attempt says that an attempt began, or, with the zero time, that none is under way.
func (s *status) attempt(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = began
	if s.episodes[reasonLock] == nil && !began.IsZero() {
		s.blockers = nil // of an attempt that is over, and of no episode
	}
}

func (s *status) applied(next map[inbox.Partition]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, offset := range next {
		if s.owned[p] {
			s.next[p] = offset
		}
	}
}

func (s *status) assigned(partitions []kafka.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		s.owned[toPartition(p)] = true
	}
}

func (s *status) revoked(partitions []kafka.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		delete(s.owned, toPartition(p))
		delete(s.next, toPartition(p))
	}
}

func (s *status) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.err = true, err
	clear(s.episodes)
	clear(s.owned)
	clear(s.next)
}

func (s *status) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

func (s *status) setBlockers(blockers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blockers = blockers
}

// update says what is in the way now. One line begins each episode, and one ends it.
func (s *status) update(now []blockage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(now) == 0 && len(s.episodes) == 0 {
		return
	}
	current := make(map[string]bool, len(now))
	for _, b := range now {
		current[b.Reason] = true
		e := s.episodes[b.Reason]
		if e == nil {
			e = &episode{since: time.Now()}
			s.episodes[b.Reason] = e
		}
		e.blockage = b
		if !e.logged && time.Since(e.since) >= blockedAfter {
			e.logged = true
			s.log.Error("consumer is blocked", "reason", b.Reason, "messages", b.Messages, "first", b.Where,
				"blocked_by", strings.Join(s.blockersOf(b.Reason), "; "), "error", b.Err)
		}
	}
	for reason, e := range s.episodes {
		if current[reason] {
			continue
		}
		if e.logged {
			s.log.Error("consumer is no longer blocked", "reason", reason, "seconds", int(time.Since(e.since).Seconds()))
		}
		delete(s.episodes, reason)
		if reason == reasonLock {
			s.blockers = nil
		}
	}
}

func (s *status) blockersOf(reason string) []string {
	if reason != reasonLock {
		return nil
	}
	return s.blockers
}

// ready returns nil, or why the consumer does not do its work.
func (s *status) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		if s.err != nil {
			return errors.New("the consumer has ended: " + firstLine(s.err.Error()))
		}
		return errors.New("the consumer has ended")
	}
	var texts []string
	if waited := s.lockWait(); waited >= blockedAfter {
		texts = append(texts, fmt.Sprintf("an attempt has waited %.0f s for a lock, held by %s", waited.Seconds(), strings.Join(s.blockers, "; ")))
	}
	for _, reason := range slices.Sorted(maps.Keys(s.episodes)) {
		if e := s.episodes[reason]; time.Since(e.since) >= blockedAfter {
			texts = append(texts, s.describe(e))
		}
	}
	if !s.forming.IsZero() && time.Since(s.forming) >= idleAfter {
		texts = append(texts, fmt.Sprintf("no partitions for %.0f s: the consumer group is being formed", time.Since(s.forming).Seconds()))
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// lockWait returns for how long the attempt that is under way has waited for a lock whose holder is
// known. It is reported while the attempt waits: until the wait is given up, it may be another
// second or two. A lock that has already failed an attempt is reported as what blocks the consumer.
func (s *status) lockWait() time.Duration {
	if s.began.IsZero() || len(s.blockers) == 0 || s.episodes[reasonLock] != nil {
		return 0
	}
	return time.Since(s.began)
}

// describe leaves the error's text out, which may quote data.
func (s *status) describe(e *episode) string {
	text := fmt.Sprintf("blocked for %.0f s: %s", time.Since(e.since).Seconds(), e.Reason)
	if e.Code != "" {
		text += " (SQLSTATE " + e.Code + ")"
	}
	if e.Where != "" {
		text += fmt.Sprintf(", %d messages wait, the first is %s", e.Messages, e.Where)
	}
	if by := s.blockersOf(e.Reason); len(by) > 0 {
		text += ", held by " + strings.Join(by, "; ")
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// statistics reads librdkafka's statistics for one thing that no callback tells: that the group is
// being formed, and this member waits for it.
func (s *status) statistics(text string) {
	var stats struct {
		Group struct {
			State     string `json:"state"`
			JoinState string `json:"join_state"`
		} `json:"cgrp"`
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owned) > 0 || stats.Group.State != "up" || stats.Group.JoinState == "steady" {
		s.forming, s.formless = time.Time{}, false
		return
	}
	if s.forming.IsZero() {
		s.forming = time.Now()
	}
	if waited := time.Since(s.forming); waited >= idleAfter && !s.formless {
		s.formless = true
		s.log.Error("consumer has no partitions: its group is being formed, and does not come about",
			"seconds", int(waited.Seconds()), "join_state", stats.Group.JoinState)
	}
}

// report says what is held, and why, and what else is in the way.
func (c *Consumer) report(more ...blockage) {
	c.limit()
	if len(c.unpositioned) > 0 {
		b := blockage{Reason: "positions_unknown", Err: c.positionErr}
		if f := c.classify(c.positionErr); f.Kind != fault.Message {
			b.Reason, b.Code = f.Reason, f.Code
		}
		more = append(more, b)
	}
	c.status.update(append(more, c.held.blockages()...))
}

// blockages sums up what is held, by reason.
func (b *backlog) blockages() []blockage {
	if b.empty() {
		return nil
	}
	byReason := make(map[string]*blockage)
	first := make(map[string]inbox.Delivery)
	for _, h := range b.keys {
		known := byReason[h.fault.Reason]
		if known == nil {
			known = &blockage{Reason: h.fault.Reason}
			byReason[h.fault.Reason] = known
		}
		known.Messages += 1 + len(h.followers)
		if m, ok := first[h.fault.Reason]; !ok || h.message.Time.Before(m.Time) {
			first[h.fault.Reason] = h.message
			known.Code, known.Err = h.fault.Code, h.err
			known.Where = fmt.Sprintf("%s/%d offset %d", h.message.Topic, h.message.Partition, h.message.Offset)
		}
	}
	all := make([]blockage, 0, len(byReason))
	for _, known := range byReason {
		all = append(all, *known)
	}
	return all
}
