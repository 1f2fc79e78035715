package sagasim

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"waybill.example/sdk/saga"
)

// Database is what a participant keeps and how it decides. Each call is a transaction, with the
// inbox and the outbox around it.
type Database interface {
	// Handle applies a message that is new, and returns what it causes. An error sets the message
	// aside as a dead letter; nothing of it has happened then.
	Handle(m Message, now time.Time) ([]Message, error)
	// Clone is a backup.
	Clone() Database
}

// Service is a process, or several, with one database.
type Service struct {
	w         *World
	name      string
	store     store
	backup    *store
	backupAt  time.Duration
	restored  int // how often: a transaction that began before is lost
	instances []*instance
	relay     relay
	lanes     []*lane
	begin     func(*instance, []delivery) (commit func() bool)
	onRestore []func()
}

// store is what is in the database, and goes back with it.
type store struct {
	db        Database
	inbox     map[uuid.UUID]uint64 // digests by id
	positions map[*lane]int
	writings  map[*lane]int // how often the position was written
	outbox    []Message
	cursor    int // outbox[:cursor] is published
	letters   []Letter
	aside     map[position]bool
}

type position struct {
	lane   *lane
	offset int
}

// Letter is a dead letter.
type Letter struct {
	Message
	Err      error
	redriven bool
}

// instance is one process of a service.
type instance struct {
	index   int
	away    time.Duration // until when
	crashes int           // a transaction that began before the last is lost
	release int           // of an orchestrator
	// suspended are the versions of definitions that it knows to be suspended.
	suspended []saga.Suspension
}

// Service adds a participant that reads topics.
func (w *World) Service(name string, db Database, topics ...string) *Service {
	s := w.service(name, db, 1, topics...)
	s.begin = s.participate
	return s
}

func (w *World) service(name string, db Database, instances int, topics ...string) *Service {
	s := &Service{w: w, name: name, store: store{
		db: db, inbox: map[uuid.UUID]uint64{}, positions: map[*lane]int{}, writings: map[*lane]int{}, aside: map[position]bool{},
	}}
	s.relay.s = s
	for i := range instances {
		s.instances = append(s.instances, &instance{index: i})
	}
	for _, name := range topics {
		for p := range partitions {
			l := &lane{s: s, topic: w.topic(name), partition: p, owner: p % instances}
			s.lanes, l.topic.lanes = append(s.lanes, l), append(l.topic.lanes, l)
		}
	}
	w.services = append(w.services, s)
	return s
}

// DB is the service's database as it is.
func (s *Service) DB() Database { return s.store.db }

// Do is a transaction of the service's own, such as a client's request.
func (s *Service) Do(do func(Database) []Message) { s.publish(do(s.store.db)) }

// OnRestore is called after the database was put back to an earlier moment.
func (s *Service) OnRestore(do func()) { s.onRestore = append(s.onRestore, do) }

// Restored says whether the database was ever put back to an earlier moment.
func (s *Service) Restored() bool { return s.restored > 0 }

// SetAside says whether a message is a dead letter of the service that was not redriven, or came
// back.
func (s *Service) SetAside(id uuid.UUID) bool {
	return slices.ContainsFunc(s.store.letters, func(l Letter) bool { return l.ID == id && !l.redriven })
}

// WasSetAside says whether a message was ever a dead letter of the service, redriven or not.
func (s *Service) WasSetAside(id uuid.UUID) bool {
	return slices.ContainsFunc(s.store.letters, func(l Letter) bool { return l.ID == id })
}

func (s *Service) publish(messages []Message) {
	if len(messages) > 0 {
		s.store.outbox = append(s.store.outbox, messages...)
		s.relay.wake()
	}
}

// delivery is a message in a batch, and where it stood.
type delivery struct {
	record
	at    position
	fresh bool
}

var errBroken = errors.New("a fault of this release")

// participate applies the messages one by one when the transaction commits: their rows are locked.
func (s *Service) participate(_ *instance, batch []delivery) func() bool {
	return func() bool {
		for _, d := range batch {
			if !s.accept(d) {
				continue
			}
			if s.w.wrong(s.w.mood.reject) {
				s.reject(d, errBroken)
				continue
			}
			caused, err := s.store.db.Handle(d.Message, s.w.Clock())
			if err != nil {
				s.reject(d, err)
				continue
			}
			s.w.Tracef("%s handles %s", s.name, d.Message)
			s.publish(caused)
		}
		return true
	}
}

// accept is the inbox: it says whether a message is new. Another message under an id that is known
// is set aside.
func (s *Service) accept(d delivery) bool {
	if s.store.aside[d.at] {
		return false
	}
	known, ok := s.store.inbox[d.ID]
	switch {
	case !ok:
		s.store.inbox[d.ID] = d.digested()
		return true
	case known != d.digested():
		s.reject(d, errors.New("its id belongs to another message"))
		s.store.inbox[d.ID] = known
	}
	return false
}

// reject sets a message aside. It is remembered by where it stood: sent again, it is new.
func (s *Service) reject(d delivery, reason error) {
	s.w.Count(DeadLettered)
	s.w.Tracef("%s sets %s aside: %v", s.name, d.Message, reason)
	if s.w.config.Bug != RejectedIsHandled {
		delete(s.store.inbox, d.ID)
	}
	s.store.aside[d.at] = true
	s.store.letters = append(s.store.letters, Letter{Message: d.Message, Err: reason})
}

// Redrive sends the dead letters again, but for starts of sagas that others have: there is nothing
// that could make them right.
func (s *Service) Redrive() {
	for i := range s.store.letters {
		if l := &s.store.letters[i]; !l.redriven && !errors.Is(l.Err, saga.ErrStartConflict) {
			l.redriven = true
			s.w.Count(Redriven)
			s.w.Tracef("%s: %s is redriven", s.name, l.Message)
			s.w.append(l.Message)
		}
	}
}

// replay publishes the outbox again, as the runbook says after messages were lost.
func (s *Service) replay() {
	s.w.Tracef("the outbox of %s is replayed", s.name)
	for _, m := range s.store.outbox[:s.store.cursor] {
		s.w.Later(s.w.Within(time.Minute), func() { s.w.append(m) })
	}
}

// Backup keeps the database as it is now.
func (s *Service) Backup() {
	s.w.Tracef("the database of %s is backed up", s.name)
	kept := s.store.clone()
	s.backup, s.backupAt = &kept, s.w.now
}

// Restore puts the database back to the backup. Its consumers read on from the positions in it.
func (s *Service) Restore() {
	if s.backup == nil {
		return
	}
	s.w.Count(Restores)
	s.w.Tracef("the database of %s is restored", s.name)
	s.store = s.backup.clone()
	s.restored++
	for _, l := range s.lanes {
		l.seek()
		l.wake(time.Second)
	}
	s.relay.wake()
	for _, do := range s.onRestore {
		do()
	}
}

func (s store) clone() store {
	s.db = s.db.Clone()
	s.inbox, s.aside = maps.Clone(s.inbox), maps.Clone(s.aside)
	s.positions, s.writings = maps.Clone(s.positions), maps.Clone(s.writings)
	s.outbox, s.letters = slices.Clone(s.outbox), slices.Clone(s.letters)
	return s
}

// outage takes all instances away for a while.
func (s *Service) outage(length time.Duration) {
	s.w.Count(Outages)
	s.w.Tracef("%s is down for %s", s.name, length.Round(time.Second))
	for _, i := range s.instances {
		s.crash(i, length)
	}
}

func (s *Service) crash(i *instance, length time.Duration) {
	i.away, i.crashes = max(i.away, s.w.now+length), i.crashes+1
}

// up picks an instance that runs.
func (s *Service) up() *instance {
	first := s.w.Pick(len(s.instances))
	for n := range s.instances {
		if i := s.instances[(first+n)%len(s.instances)]; i.away <= s.w.now {
			return i
		}
	}
	return nil
}

// Up says whether the service can be reached.
func (s *Service) Up() bool { return s.up() != nil }
