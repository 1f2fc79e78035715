package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// read reads a batch if it is time and there is room, and hands its rows to the producer as they
// come.
func (l *loop) read(ctx context.Context) error {
	limit := l.room()
	now := time.Now()
	if l.session.Notified() { // along with the answer to a statement
		l.wakeup.notified()
	}
	if limit == 0 || l.paused || now.Before(l.wakeup.next) {
		return nil
	}
	if err := l.changeOver(now); err != nil {
		return err
	}
	batch := l.batch(l.found)
	batch.At = now
	l.streaming = true
	reading := l.gaps.reading(l.handled, limit, now)
	complete, err := l.session.Read(ctx, reading, batch, l.arrived)
	l.streaming = false
	l.handled.AddSet(&batch.IDs)
	found := len(batch.Rows)
	if l.found = found; found == 0 {
		l.recycle(batch)
	} else {
		l.charge(batch.Bytes())
		l.batches = append(l.batches, batch)
		l.meters.batch.Observe(float64(found))
	}
	if err != nil {
		return err
	}
	if !complete {
		l.gaps.missed()
		return nil // the next round looks into the gaps
	}
	l.profile.next(found, limit, l.options.BatchRows, l.wakeup.quiet(now), now)
	switch {
	case found == limit:
		l.closeGaps(batch.Rows[found-1].ID)
	case reading.End == source.NoID:
		l.closeGaps(reading.Covered)
		l.wakeup.notified() // there are more gaps to look into
		return nil
	default:
		l.closeGaps(l.handled.End())
	}
	return l.schedule(ctx, found)
}

// room returns how many rows may be read now.
func (l *loop) room() int {
	if l.paused || l.down || !l.alive() || l.rows > 0 && !l.stalled && l.changing(time.Now()) {
		return 0
	}
	return l.space()
}

// space returns how many rows there is place for in memory.
func (l *loop) space() int {
	if l.bytes > 0 && !l.fits(0) {
		return 0
	}
	rows := min(l.options.BatchRows, l.options.InFlightRows-l.rows)
	if rows < min(l.options.BatchRows, l.options.InFlightRows)/4 {
		return 0 // a few answers do not make a batch
	}
	return rows
}

// Few rows take a new batch, which is small; a large one would be kept by its last row.
const fewRows = 64

// batch returns an empty batch. About how many rows are expected?
func (l *loop) batch(expected int) *source.Batch {
	if n := len(l.freeBatches); n > 0 && expected > fewRows {
		b := l.freeBatches[n-1]
		l.freeBatches = l.freeBatches[:n-1]
		return b
	}
	return source.NewBatch(l.options.BatchRows)
}

// Batches that are kept for their memory.
const maxSpare = 16

func (l *loop) recycle(batch *source.Batch) {
	if len(l.freeBatches) < maxSpare && len(batch.Rows) > fewRows {
		batch.Reset()
		l.freeBatches = append(l.freeBatches, batch)
	}
}

// arrived deals with a row that has just come from the wire.
func (l *loop) arrived(row *source.Row) {
	f := l.arrive(row)
	if len(f.queue) == 0 && l.alive() && l.trySend(f, row) {
		return
	}
	l.flows.enqueue(f, row)
}

// arrive counts a row that has been read.
func (l *loop) arrive(row *source.Row) *flow {
	f := l.flows.of(row.Topic)
	if f.rows == 0 {
		f.progress = l.now
	}
	l.rows++
	f.rows++
	return f
}

// schedule decides when to read next, and tells the database whether the relay sleeps.
func (l *loop) schedule(ctx context.Context, found int) error {
	switch l.wakeup.found(found, l.surroundings(), time.Now()) {
	case wakeUp:
		return l.session.WakeUp(ctx)
	case goToSleep: // not while a writer has inserted rows that it has not committed
		asleep, err := l.session.Sleep(ctx)
		if asleep {
			l.wakeup.slept()
		}
		return err
	default:
		return nil
	}
}

func (l *loop) surroundings() surroundings {
	o := &l.options
	return surroundings{
		batchRows: o.BatchRows, pollMin: o.PollMin, pollMax: o.PollMax, quiet: o.Quiet, fallback: o.Fallback,
		writersNotify: l.session.WritersNotify(), stalled: l.stalled, inFlight: l.rows > 0,
	}
}

// wait returns when there may be something to do: an answer of the broker, a new row, the time to
// read or to move the cursor.
func (l *loop) wait(ctx context.Context) error {
	pause := min(l.options.Fallback, l.untilDue())
	if l.room() > 0 {
		pause = min(pause, time.Until(l.wakeup.next))
	}
	switch {
	case l.life.state != running:
		pause = min(pause, time.Until(l.life.until))
	case l.broken != nil:
		return nil
	}
	if pause <= 0 {
		return nil
	}
	if l.rows == 0 && len(l.probing) == 0 {
		return l.idle(ctx, pause)
	}
	if l.sent == 0 || len(l.flows.queued) > 0 {
		pause = min(pause, blockedPause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	l.await(ctx, timer.C)
	return nil
}

// await waits for one answer, or for the timer.
func (l *loop) await(ctx context.Context, timer <-chan time.Time) {
	select {
	case event := <-l.events():
		l.now = time.Now()
		l.answered(event)
	case event := <-l.complaints():
		l.clientSays(event)
	case a := <-l.prober.Answers():
		l.now = time.Now()
		l.probed(a)
	case e := <-l.isolated:
		l.now = time.Now()
		l.isolatedSays(e)
	case <-timer:
	case <-ctx.Done():
	}
}

// How soon rows are offered again that the producer could not take.
const blockedPause = 50 * time.Millisecond

// idle waits for a notification. Nothing is in flight that could be answered.
func (l *loop) idle(ctx context.Context, pause time.Duration) error {
	notified, err := l.session.WaitForRow(ctx, pause)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the loop ends by itself
	}
	if notified {
		l.wakeup.notified() // of a row, or of an operator's wish
		l.retried = time.Time{}
	}
	return err
}
