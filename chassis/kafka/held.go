package kafka

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"waybill.example/chassis/fault"
	"waybill.example/sdk/inbox"
)

// held is a message that cannot be applied now, and what waits behind it: later messages of its
// key, in their order. All other keys go on.
type held struct {
	message   inbox.Delivery
	followers []inbox.Delivery
	fault     fault.Fault // of the last attempt
	err       error
	counted   int // failures that count against the message
	pause     *backoff.ExponentialBackOff
	since     time.Time // when it failed first, or could not be set aside
	next      time.Time // when it is tried again
}

// exhausted says whether the message has failed so often that it is to be set aside.
func (h *held) exhausted() bool { return h.fault.Attempts > 0 && h.counted >= h.fault.Attempts }

// ownFault says whether the message itself has failed, with what counts against it.
func (h *held) ownFault() bool { return h.err != nil && h.fault.Attempts > 0 }

func (h *held) failed(f fault.Fault, err error, now time.Time) {
	h.fault, h.err = f, err
	if f.Attempts > 0 {
		h.counted++
	}
	if h.since.IsZero() {
		h.since = now
	}
	h.next = now.Add(h.pause.NextBackOff())
}

// withhold takes those messages out of the batch that have to wait: behind one of their key, or
// because their kind is suspended.
func (c *Consumer) withhold(batch []inbox.Delivery) []inbox.Delivery {
	if c.held.empty() && len(c.held.breakers) == 0 {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(m inbox.Delivery) bool {
		if h := c.held.keys[sequenceOf(m)]; h != nil {
			h.followers = append(h.followers, m)
			c.held.count[partitionOf(m)]++
			return true
		}
		if b := c.held.breakers[kindOf(m)]; b.open() {
			c.held.add(m, b.fault, nil)
			return true
		}
		return false
	})
}

// hold keeps a message that has failed alone.
func (c *Consumer) hold(m inbox.Delivery, f fault.Fault, err error) {
	h := c.held.add(m, f, err)
	h.failed(f, err, time.Now())
	if c.held.countFailure(m, f) {
		c.log.Error("messages of this type fail alike, one after the other: none is set aside, and one at a time is tried",
			"topic", m.Topic, "type", kindOf(m).typ, "reason", f.Reason, "error", err)
	}
}

// retryHeld tries held messages again that are due: as many as it may by the time that the last
// batch took, and one at least. Batches take long where messages have to be found that cannot be
// applied; with one attempt for each batch, more would be found than are ever set aside.
func (c *Consumer) retryHeld(ctx context.Context) {
	began := time.Now()
	if c.held.empty() || c.held.restUntil.After(began) {
		return
	}
	var spent time.Duration
	for c.canContinue(ctx) {
		took, tried := c.retryNext(ctx)
		if !tried {
			break
		}
		spent += took
		if retryShare*time.Since(began) >= c.worked {
			break
		}
		c.keepPolling()
	}
	if rest := retryShare*spent - c.worked; rest > 0 {
		c.held.restUntil = time.Now().Add(rest)
	}
	c.worked = 0
}

// retryNext tries the held message again whose turn it is, if one is due. It returns how long the
// attempt took.
func (c *Consumer) retryNext(ctx context.Context) (took time.Duration, tried bool) {
	h := c.held.due(time.Now())
	if h == nil {
		return 0, false
	}
	defer c.report()
	if h.exhausted() && !c.held.breakers[kindOf(h.message)].open() {
		c.setAside(ctx, h)
		return 0, true
	}
	began := time.Now()
	err := c.withRetry(ctx, []inbox.Delivery{h.message}, !c.mayWaitForLock(began), c.dispatch)
	took = time.Since(began)
	switch {
	case !c.canContinue(ctx) || !c.held.has(h): // stopping, or no longer ours
	case err != nil:
		h.failed(c.classify(err), err, time.Now())
		c.held.postponeProbe(h.message)
	default:
		c.releaseFollowers(ctx, h, true)
	}
	return took, true
}

const (
	// retryShare is how much longer the consumer does other work than attempts with held messages
	// take: new messages come first, however many are held.
	retryShare = 4
	// lockWaitInterval is how often a held message is given the time to wait for a lock that a new
	// one has. One that many want is never free at once; and who holds it is looked for meanwhile.
	lockWaitInterval = 10 * time.Second
)

// mayWaitForLock says whether an attempt with a held message may wait for a lock.
func (c *Consumer) mayWaitForLock(now time.Time) bool {
	if now.Sub(c.lastPatient) < lockWaitInterval {
		return false
	}
	c.lastPatient = now
	return true
}

// setAside makes a message a dead letter.
func (c *Consumer) setAside(ctx context.Context, h *held) {
	reason := h.err
	err := c.withRetry(ctx, []inbox.Delivery{h.message}, false, func(ctx context.Context, batch []inbox.Delivery) error {
		return c.handler.Reject(ctx, c.resumed(batch[0]), reason)
	})
	switch {
	case !c.canContinue(ctx) || !c.held.has(h):
	case err != nil:
		// Its reason stays: what was wrong with the message, not with the dead letter.
		// Its turn comes after that of those that failed since.
		h.since = time.Now()
		h.next = h.since.Add(h.pause.NextBackOff())
		c.logAbout([]inbox.Delivery{h.message}).WarnContext(ctx, "message not set aside", "error", err)
	default:
		c.logAbout([]inbox.Delivery{h.message}).ErrorContext(ctx, "message set aside as a dead letter", "error", reason)
		c.releaseFollowers(ctx, h, false)
	}
}

func (c *Consumer) resumed(m inbox.Delivery) inbox.Delivery {
	m.Resume = c.nextOffsets([]inbox.Delivery{m})[partitionOf(m)]
	return m
}

// releaseFollowers processes what a message has held up. When the message was applied, what was in
// the way of others is probably gone as well.
func (c *Consumer) releaseFollowers(ctx context.Context, h *held, applied bool) {
	messages := h.followers
	c.held.remove(h)
	if applied {
		messages = append(messages, c.held.takeWaiting()...)
		slices.SortFunc(messages, byPosition)
	}
	for len(messages) > 0 && c.canContinue(ctx) {
		n := min(len(messages), c.options.BatchSize)
		c.pending = append(c.pending, messages[n:])
		c.process(ctx, messages[:n], true)
		c.pending = c.pending[:len(c.pending)-1]
		messages = messages[n:]
	}
}
