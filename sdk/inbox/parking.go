package inbox

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/deadletter"
)

// Parking keeps the order of a key around a dead letter: later messages of its topic and key wait
// in the database (they are parked), until an operator has redriven or discarded it. Messages
// without a key have no order, and do not wait.
//
// A consumer with Parking has to run a [Redriver]: without one, what waits is never applied.
//
// One Parking belongs to one consumer process, and is safe for concurrent use.
type Parking struct {
	// Behind says whether later messages of its key wait for a dead letter; nil: for each.
	Behind func(Delivery) bool

	// careful says that messages of some key wait: batches lock the queues of their keys before
	// anything else.
	careful atomic.Bool
}

// queueOf returns the queue that a dead letter holds up; uuid.Nil where none.
func (p *Parking) queueOf(d Delivery) uuid.UUID {
	if p == nil || len(d.Key) == 0 || p.Behind != nil && !p.Behind(d) {
		return uuid.Nil
	}
	return deadletter.KeyID(d.Topic, d.Key)
}

// errKeysWait says that messages of some keys wait, and that the batch has not locked the queues of
// its own.
var errKeysWait = errors.New("messages of some keys wait: the batch has to lock the queues of its own first")

// followedError says that Apply has refused a message of the batch and has applied a later one of
// its key, which has to wait. The batch is to be split in front of the later one.
type followedError struct{ follower Delivery }

func (e *followedError) Error() string { return "a later message of a refused one's key must wait" }

// split parts a batch in front of a delivery. Of a partition that has messages in both parts, the
// first part must not move the position behind those of the second.
func split(batch []Delivery, follower Delivery) (first, rest []Delivery) {
	at := slices.IndexFunc(batch, func(d Delivery) bool { return samePlace(d, follower) })
	first, rest = slices.Clone(batch[:at]), batch[at:]
	for i := range first {
		for _, later := range rest {
			if first[i].Topic != later.Topic || first[i].Partition != later.Partition {
				continue
			}
			if first[i].Resume == 0 || later.Offset < first[i].Resume {
				first[i].Resume = later.Offset
			}
		}
	}
	return first, rest
}

func samePlace(a, b Delivery) bool {
	return a.Topic == b.Topic && a.Partition == b.Partition && a.Offset == b.Offset
}

func sameKey(a, b Delivery) bool { return a.Topic == b.Topic && bytes.Equal(a.Key, b.Key) }

// aside is a message that is not applied now: dead for a reason, or parked without one.
type aside[M any] struct {
	decoded[M]
	index int // in the batch
	// recorded says that the inbox has the message under its position already.
	recorded bool
	conflict bool
}

// sort parts a batch into what Apply gets and what is set aside, in their order. Behind a message
// that is set aside, those of its key wait.
func (a *attempt[M, S]) sort(conflicts map[int]*ConflictError) (fresh []Received[M], asides []aside[M]) {
	waiting := a.locked
	for i, d := range a.batch {
		conflict, conflicts := conflicts[i]
		switch {
		case conflicts:
			d.reason = conflict
			asides = append(asides, aside[M]{d, i, false, true})
		case !a.accepting.isNew[i]:
			continue
		case d.reason != nil:
			asides = append(asides, aside[M]{d, i, true, false})
		case len(waiting) > 0 && waiting[deadletter.KeyID(d.Delivery.Topic, d.Delivery.Key)]:
			asides = append(asides, aside[M]{d, i, false, false})
			continue
		default:
			fresh = append(fresh, d.Received)
			a.indexes = append(a.indexes, i)
			continue
		}
		if key := a.Parking.queueOf(d.Delivery); key != uuid.Nil {
			waiting[key] = true
		}
	}
	return fresh, asides
}

// queues returns the queues of the batch's messages, each once.
func (a *attempt[M, S]) queues() []uuid.UUID {
	known := make(map[uuid.UUID]bool, len(a.batch))
	keys := make([]uuid.UUID, 0, len(a.batch))
	for _, d := range a.batch {
		if len(d.Delivery.Key) == 0 {
			continue
		}
		if key := deadletter.KeyID(d.Delivery.Topic, d.Delivery.Key); !known[key] {
			known[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// unlocked queues the question whether messages of a key of the batch wait of which the batch does
// not know. Another process that had the partition before may have set one aside after this
// transaction had begun: then this one has waited for it, and what it set aside is not new here.
func (a *attempt[M, S]) unlocked(batch *pgx.Batch, exist *bool) {
	keys := slices.DeleteFunc(a.queues(), func(key uuid.UUID) bool { return a.locked[key] })
	if len(keys) > 0 {
		deadletter.Exist(batch, a.Consumer, keys, exist)
	}
}

// followed returns the first message that Apply has got although it has refused an earlier one of
// its key, if there is one.
func (a *attempt[M, S]) followed(received []Received[M], refused map[int]error) error {
	for i := range received {
		if _, ok := refused[i]; !ok || a.Parking.queueOf(received[i].Delivery) == uuid.Nil {
			continue
		}
		for _, later := range received[i+1:] {
			if sameKey(received[i].Delivery, later.Delivery) {
				return &followedError{later.Delivery}
			}
		}
	}
	return nil
}

// toMessage makes what is kept of a delivery.
func toMessage(d Delivery, id *uuid.UUID) deadletter.Message {
	m := deadletter.Message{
		Topic: d.Topic, Partition: d.Partition, Offset: d.Offset,
		Key: d.Key, Type: d.Header(headerType), EventID: id, Decoded: id != nil,
		Payload: d.Value, PayloadBytes: int64(len(d.Value)), Whole: true,
		Headers: make([]deadletter.Header, len(d.Headers)),
	}
	if !d.Time.IsZero() {
		m.SentAt = &d.Time
	}
	for i, h := range d.Headers {
		m.Headers[i] = deadletter.Header(h)
	}
	if id == nil {
		if claimed, err := uuid.Parse(d.Header(headerID)); err == nil {
			m.EventID = &claimed
		}
	}
	return m
}
