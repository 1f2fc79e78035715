package relay

import "waybill.example/outbox-relay/internal/source"

// A lane is the rows that wait together: those of one key of a topic, or of a whole topic.
type lane struct {
	topic, key string
	whole      bool
}

// laneOf returns the lane that waits for a stuck row, and false if none does.
func laneOf(topic string, key *string, whole bool) (lane, bool) {
	switch {
	case whole:
		return lane{topic: topic, whole: true}, true
	case key != nil:
		return lane{topic: topic, key: *key}, true
	default:
		return lane{}, false
	}
}

// laneState is why the rows of a lane wait.
type laneState uint8

const (
	// laneStuck has a stuck row at its head, which is tried again.
	laneStuck laneState = iota + 1
	// laneWaiting is a topic whose broker takes no rows now. The first of its parked rows is tried
	// again and again.
	laneWaiting
	// laneReleasing may go: its parked rows are read again, in order. New rows park behind them
	// until the last page of them is in the queue.
	laneReleasing
)

// quarantine holds the lanes whose rows are parked. It is a state machine without I/O: the database
// knows of each parked row, and this of each lane.
//
//	     a row is refused              its head is published, discarded or gone
//	─────────────────────────▶ STUCK ────────────────────────────────────────────▶ RELEASING ──▶ (no lane)
//	                             ▲                                                    │  ▲     the last page is queued
//	                             └─────────────── a released row is refused ──────────┘  │
//	─────────────────────────▶ WAITING ──────────────────────────────────────────────────┘
//	 a topic makes no progress            its first row is taken
type quarantine struct {
	lanes map[lane]laneState
	// after is up to where the parked rows of a topic that is being released have been read, and
	// afterKeys the same for all keys that are.
	after     map[string]int64
	afterKeys int64
}

func newQuarantine(heads []source.Due, orphaned []string) *quarantine {
	q := &quarantine{lanes: map[lane]laneState{}, after: map[string]int64{}}
	for _, head := range heads {
		if l, ok := laneOf(head.Topic, head.Key, head.Whole); ok {
			q.lanes[l] = laneStuck
		}
	}
	for _, topic := range orphaned {
		if l := (lane{topic: topic, whole: true}); q.lanes[l] == 0 {
			q.lanes[l] = laneReleasing
		}
	}
	return q
}

// blocks says whether a row has to park. Rows of a lane that is being released park until it is no
// longer: only the parked ones themselves may go.
func (q *quarantine) blocks(row *source.Row) bool {
	if len(q.lanes) == 0 {
		return false
	}
	passes := func(state laneState) bool {
		return state == 0 || state == laneReleasing && row.Batch.Origin == source.Released
	}
	if !passes(q.lanes[lane{topic: row.Topic, whole: true}]) {
		return true
	}
	return row.Key != nil && !passes(q.lanes[lane{topic: row.Topic, key: string(row.Key)}])
}

func (q *quarantine) state(l lane) laneState { return q.lanes[l] }

func (q *quarantine) stick(l lane) { q.lanes[l] = laneStuck }

// stickWaiting parks the rows of a topic whose broker takes none now.
func (q *quarantine) stickWaiting(topic string) {
	q.lanes[lane{topic: topic, whole: true}] = laneWaiting
}

// release lets the rows of a lane go from the first on.
func (q *quarantine) release(l lane) {
	if q.lanes[l] == 0 {
		return
	}
	q.lanes[l] = laneReleasing
	if l.whole {
		q.after[l.topic] = 0
	} else {
		q.afterKeys = 0
	}
}

// remove forgets a lane, the last of whose parked rows is in the queue.
func (q *quarantine) remove(l lane) {
	delete(q.lanes, l)
	if l.whole {
		delete(q.after, l.topic)
	}
}

// releasing returns the lanes that are being released and whose topics are free to take rows: whole
// topics, and keys of topics that are not parked as a whole.
func (q *quarantine) releasing(free func(topic string) bool) (topics []string, keys []lane) {
	for l, state := range q.lanes {
		switch {
		case state != laneReleasing || !free(l.topic):
		case l.whole:
			topics = append(topics, l.topic)
		case q.lanes[lane{topic: l.topic, whole: true}] == 0:
			keys = append(keys, l)
		}
	}
	return topics, keys
}
