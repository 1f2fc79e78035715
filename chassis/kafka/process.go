package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"waybill.example/chassis/fault"
	"waybill.example/chassis/telemetry"
	"waybill.example/chassis/tracing"
	"waybill.example/sdk/inbox"
)

const (
	// conflictRetries is how often a batch that met another transaction is tried again at once.
	conflictRetries = 2
	// pollEvery is how long batches are taken apart without a call to Poll, which a consumer owes
	// its group every max.poll.interval.ms.
	pollEvery = time.Second
	// The pause between attempts, of a batch during an outage as of a message that is held.
	firstBackoff, longestBackoff = 50 * time.Millisecond, 3 * time.Second
)

// process applies the batch, or holds those of its messages that cannot be applied now. A batch
// that fails for anything but an outage is halved until the messages at fault stand alone: a batch
// of 500 with one of them takes some twenty attempts, and nobody else waits longer.
func (c *Consumer) process(ctx context.Context, batch []inbox.Delivery, failFast bool) {
	c.keepPolling()
	batch = c.withhold(c.stillAssigned(batch))
	if len(batch) == 0 {
		return
	}
	err := c.withRetry(ctx, batch, failFast, c.dispatch)
	if err == nil || !c.canContinue(ctx) {
		return
	}
	if len(batch) == 1 {
		c.hold(batch[0], c.classify(err), err)
		return
	}
	if len(c.pending) == 0 {
		c.metrics.isolations.Inc()
	}
	half := len(batch) / 2
	c.pending = append(c.pending, batch[half:])
	c.process(ctx, batch[:half], true)
	c.pending = c.pending[:len(c.pending)-1]
	if c.canContinue(ctx) {
		c.process(ctx, batch[half:], true)
	}
}

// withRetry does something with the batch until it succeeds, and then stores the batch's offsets.
// An outage is waited out, however long it takes, and a conflict tried again at once; any other
// error is returned. It returns nil as well when nothing of the batch is ours any more, and some
// error when ctx ends.
func (c *Consumer) withRetry(ctx context.Context, batch []inbox.Delivery, failFast bool, do func(context.Context, []inbox.Delivery) error) error {
	pause := newBackoff()
	for conflicts := 0; ; {
		if batch = c.stillAssigned(batch); len(batch) == 0 {
			return nil
		}
		err := c.attempt(ctx, batch, failFast, do)
		if err == nil {
			c.done(batch)
			return nil
		}
		if !c.canContinue(ctx) {
			return err
		}
		if c.options.Positions != nil && inbox.Rewound(err) {
			c.rewind(err)
			return nil
		}
		f := c.classify(err)
		c.metrics.failure(f)
		c.logAbout(batch).DebugContext(ctx, "batch not applied", "messages", len(batch), "reason", f.Reason, "error", err)
		switch {
		case f.Kind == fault.Outage:
			c.report(blockage{Reason: f.Reason, Code: f.Code, Messages: len(batch), Err: err})
			c.wait(ctx, pause.NextBackOff())
		case f.Kind == fault.Conflict && conflicts < conflictRetries:
			conflicts++
		default:
			return err
		}
	}
}

func newBackoff() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstBackoff, longestBackoff
	return pause
}

func (c *Consumer) classify(err error) fault.Fault {
	if _, panicked := errors.AsType[*panicError](err); panicked || c.options.Classify == nil {
		return fault.OfMessage(err.Error())
	}
	return c.options.Classify(err)
}

// attempt tries once, for a bounded time. A panic of the handler is an error like another: it is
// probably about one message, and the process has others to apply.
func (c *Consumer) attempt(ctx context.Context, batch []inbox.Delivery, failFast bool, do func(context.Context, []inbox.Delivery) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if failFast && c.options.FailFast != nil {
		ctx = c.options.FailFast(ctx)
	}
	c.status.attempt(time.Now())
	defer c.status.attempt(time.Time{})
	if !failFast {
		c.lastPatient = time.Now()
		defer c.watchLocks(ctx)()
	}
	defer func() {
		if value := recover(); value != nil {
			c.logAbout(batch).ErrorContext(ctx, "handler panicked", "panic", value, "stack", string(debug.Stack()))
			err = &panicError{value}
		}
	}()
	return do(ctx, batch)
}

// logAbout is a logger whose lines name the message of the batch, if it is one.
func (c *Consumer) logAbout(batch []inbox.Delivery) *slog.Logger {
	if len(batch) != 1 {
		return c.log
	}
	return slog.New(c.log.Handler().WithAttrs(batch[0].LogAttrs()))
}

type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.value) }

// lockLook is how long an attempt may take before it is asked who holds what it waits for.
const lockLook = 500 * time.Millisecond

// watchLocks learns who holds the locks that an attempt waits for, if it takes long. The returned
// function ends that.
func (c *Consumer) watchLocks(ctx context.Context) (stop func()) {
	if c.options.Blockers == nil {
		return func() {}
	}
	ctx, giveUp := context.WithCancel(ctx)
	looked := make(chan struct{})
	timer := time.AfterFunc(lockLook, func() {
		defer close(looked)
		if blockers, err := c.options.Blockers(ctx); err == nil {
			c.status.setBlockers(blockers)
		}
	})
	return func() {
		giveUp()
		if !timer.Stop() {
			<-looked
		}
	}
}

// dispatch gives the batch to the handler.
func (c *Consumer) dispatch(ctx context.Context, batch []inbox.Delivery) error {
	next := c.nextOffsets(batch)
	messages := slices.Clone(batch)
	for i, m := range messages {
		messages[i].Resume = next[partitionOf(m)]
	}
	var traced func(error)
	if tracing.Enabled() {
		ctx, messages, traced = tracing.Process(ctx, c.options.Group, messages)
	}
	began := time.Now()
	err := c.handler.Process(ctx, messages)
	if traced != nil {
		traced(err)
	}
	telemetry.Observe(c.metrics.duration, time.Since(began).Seconds(), tracing.Recorded(ctx))
	return err
}

// done marks the batch's messages as applied.
func (c *Consumer) done(batch []inbox.Delivery) {
	next := c.nextOffsets(batch)
	for _, m := range batch {
		p := partitionOf(m)
		c.applied[p] = max(c.applied[p], m.Offset+1)
	}
	c.held.succeeded(batch)
	c.status.applied(next)
	maps.Copy(c.unstored, next)
	c.storeOffsets()
}

// nextOffsets returns from where each partition of the batch has to be read again once the batch is
// applied: behind all that was applied, but not behind a message that is held, or not tried yet.
func (c *Consumer) nextOffsets(batch []inbox.Delivery) map[inbox.Partition]int64 {
	next := make(map[inbox.Partition]int64)
	for _, m := range batch {
		p := partitionOf(m)
		next[p] = max(next[p], m.Offset+1, c.applied[p])
	}
	if len(c.pending) == 0 && c.held.empty() {
		return next
	}
	inBatch := make(map[position]bool, len(batch))
	for _, m := range batch {
		inBatch[positionOf(m)] = true
	}
	lower := func(m inbox.Delivery) {
		if offset, concerned := next[partitionOf(m)]; concerned && m.Offset < offset && !inBatch[positionOf(m)] {
			next[partitionOf(m)] = m.Offset
		}
	}
	for _, messages := range c.pending {
		for _, m := range messages {
			lower(m)
		}
	}
	c.held.each(lower)
	return next
}

// keepPolling calls Poll now and then while batches are taken apart.
func (c *Consumer) keepPolling() {
	if time.Since(c.polled) < pollEvery {
		return
	}
	if event := c.poll(0); event != nil {
		c.handleEvent(event)
	}
	c.report()
}

// wait lets some time pass without leaving the group: the consumer has to poll, or its partitions
// are given to another; but the partitions are paused, so nothing new comes in.
func (c *Consumer) wait(ctx context.Context, delay time.Duration) {
	c.outage = true
	c.pauseAll()
	defer func() {
		c.outage = false
		c.resumeAll()
	}()
	const step = 50 * time.Millisecond
	for until := time.Now().Add(delay); c.canContinue(ctx); {
		left := time.Until(until)
		if left <= 0 {
			return
		}
		if event := c.poll(min(left, step)); event != nil {
			c.handleEvent(event)
		}
	}
}
