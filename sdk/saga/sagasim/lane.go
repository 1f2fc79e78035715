package sagasim

import "time"

// rebalance is how long a consumer is silent before others take its partitions over.
const rebalance = 6 * time.Second

// lane is a consumer's reading of one partition.
type lane struct {
	s         *Service
	topic     *topic
	partition int
	owner     int // the instance that has the partition
	epoch     int // one more with each time that reading begins again somewhere
	next      int // what is read next
	committed int // what Kafka keeps
	woken     bool
	busy      bool // a transaction is under way
}

func (l *lane) log() []record { return l.topic.logs[l.partition] }

func (l *lane) wake(wait time.Duration) {
	if l.woken || l.busy {
		return
	}
	l.woken = true
	l.s.w.Later(wait+l.s.w.Within(5*time.Millisecond), l.poll)
}

// seek begins to read at the smaller of what Kafka and what the database says.
func (l *lane) seek() {
	l.next = l.committed
	if bug := l.s.w.config.Bug; bug != OffsetFirst && bug != OffsetsInKafkaOnly {
		l.next = min(l.next, l.s.store.positions[l])
	}
	l.epoch, l.busy = l.epoch+1, false
}

// placed finds an instance for the partition; false while there is none.
func (l *lane) placed() (*instance, bool) {
	owner := l.s.instances[l.owner]
	if owner.away <= l.s.w.now {
		return owner, true
	}
	if other := l.s.up(); other != nil {
		l.owner = other.index
		l.seek()
		return other, true
	}
	l.wake(owner.away - l.s.w.now)
	return nil, false
}

func (l *lane) poll() {
	l.woken = false
	w := l.s.w
	if l.busy || l.next >= len(l.log()) {
		return
	}
	owner, ok := l.placed()
	if !ok {
		return
	}
	n := min(1+w.Pick(4), len(l.log())-l.next)
	if w.wrong(w.mood.crash) {
		w.Count(CrashesBefore)
		w.Tracef("%s crashes before it commits %s and %d more", l.s.name, l.log()[l.next].Message, n-1)
		if w.config.Bug == OffsetFirst {
			l.committed = l.next + n
		}
		l.s.crash(owner, w.Within(3*time.Second))
		l.seek()
		l.wake(rebalance)
		return
	}
	l.transaction(owner, n)
}

// transaction reads n messages, and commits them a moment later, or much later: a process that
// stalls is considered dead, and may commit all the same.
func (l *lane) transaction(owner *instance, n int) {
	w, s := l.s.w, l.s
	batch := make([]delivery, n)
	for i := range batch {
		at := position{l, l.next + i}
		batch[i] = delivery{record: l.log()[at.offset], at: at}
	}
	commit := s.begin(owner, batch)
	l.busy = true
	epoch, crashes, restored := l.epoch, owner.crashes, s.restored
	written, after := s.store.positions[l], l.next+n
	writings := s.store.writings[l]
	took := w.Within(10 * time.Millisecond)
	if w.wrong(w.mood.stall) {
		w.Count(Stalls)
		took = w.Within(20 * time.Second)
		w.Later(rebalance, func() {
			if l.epoch == epoch && l.busy && len(s.instances) > 1 {
				l.owner = (l.owner + 1) % len(s.instances)
				l.seek()
				l.wake(0)
			}
		})
	}
	w.Later(took, func() {
		// Nobody takes back a position that another has written meanwhile.
		mine := s.store.positions[l] == written && s.store.writings[l] == writings
		overtaken := s.store.positions[l] > after && !mine && w.config.Bug != PositionGoesBack
		lost := owner.crashes != crashes || s.restored != restored || overtaken
		if !lost && commit() {
			s.store.positions[l] = after
			s.store.writings[l]++
			if l.epoch == epoch {
				l.afterCommit(owner, after)
			}
			return
		}
		if l.epoch == epoch {
			l.seek()
			l.wake(100 * time.Millisecond)
		}
	})
}

// afterCommit is what follows a commit in the database: the offset is committed to Kafka, unless
// the process dies first.
func (l *lane) afterCommit(owner *instance, after int) {
	w := l.s.w
	l.busy = false
	if w.wrong(w.mood.crash) {
		w.Count(CrashesAfter)
		w.Tracef("%s crashes after it committed", l.s.name)
		l.s.crash(owner, w.Within(3*time.Second))
		l.seek()
		l.wake(rebalance)
		return
	}
	l.next, l.committed = after, after
	l.wake(0)
}
