package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// read reads a batch if it is time and there is room, and hands its rows to the producer as they come.
func (l *loop) read(ctx context.Context) error {
	limit := l.room()
	now := time.Now()
	if l.session.Notified() { // along with the answer to a statement
		l.nextRead = time.Time{}
	}
	if limit == 0 || l.paused || now.Before(l.nextRead) {
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
		l.lastRow = now
		l.meters.batch.Observe(float64(found))
	}
	if err != nil {
		return err
	}
	if !complete {
		l.gaps.missed()
		return nil // the next round looks into the gaps
	}
	l.profile.next(found, limit, l.options.BatchRows, l.sleeping && time.Since(l.wokeUp) > quietPeriod, now)
	switch {
	case found == limit:
		l.closeGaps(batch.Rows[found-1].ID)
	case reading.End == source.NoID:
		l.closeGaps(reading.Covered)
		l.nextRead = time.Time{} // there are more gaps to look into
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

// schedule decides when to read next: at once when there is much, after a breath when there is little, so that
// Postgres is not kept busy with tiny reads, and ever later when there is nothing, until the relay sleeps.
func (l *loop) schedule(ctx context.Context, found int) error {
	now := time.Now()
	if found > 0 {
		if now.Sub(l.lastFound) > idleGap {
			l.consecutiveReads = 0
		}
		l.consecutiveReads, l.lastFound = l.consecutiveReads+1, now
	}
	switch {
	case found > 0 && l.sleeping && found < wakeRows && l.consecutiveReads < wakeReads:
		l.nextRead = now.Add(l.pause) // few rows, and their writers notify: sleep on
		return nil
	case found > 0:
		if found < l.options.BatchRows/4 {
			l.nextRead = now.Add(l.minReadInterval())
			if l.stalled {
				l.nextRead = now.Add(stalledPause) // no row of these is urgent, and each read keeps a batch
			}
		}
		l.foundSome, l.pause = true, l.options.PollMin
		return l.wakeUp(ctx)
	case l.sleeping && l.session.WritersNotify():
		l.pause = l.options.Fallback
	case l.sleeping, now.Sub(l.lastRow) >= quietPeriod:
		l.pause = min(2*l.pause, unnotified)
	default:
		l.pause = min(2*l.pause, l.options.PollMax)
	}
	l.foundSome = false
	l.nextRead = now.Add(l.pause)
	if l.rows == 0 && now.Sub(l.lastRow) >= l.options.Quiet {
		return l.fallAsleep(ctx)
	}
	return nil
}

// How often the relay looks where nobody tells it of rows: writers may prepare their transactions, and so cannot notify, or
// a transaction that has inserted rows stays open, and so the relay cannot fall asleep.
const unnotified = 50 * time.Millisecond

// A relay that sleeps wakes up for good, and polls, when a read finds so many rows, or so many reads without a idleGap
// between them find some. Below that it costs less to be notified of each row than to look for it.
const (
	wakeRows  = 16
	wakeReads = 8
	idleGap   = 5 * time.Millisecond
)

// stalledPause is the least pause between reads that find little while rows wait for the broker.
const stalledPause = 20 * time.Millisecond

// breath is the pause after a read that found few rows. Where the one before it found some as well, writers are at
// work all the time, and would rather have the processor than save their readers a millisecond.
func (l *loop) minReadInterval() time.Duration {
	if l.foundSome {
		return 3 * l.options.PollMin
	}
	return l.options.PollMin
}

// fallAsleep stays awake while a writer has inserted rows that it has not committed. Asleep, it reads once more at
// once, for the rows whose writers were done before they could be told to notify.
func (l *loop) fallAsleep(ctx context.Context) error {
	if l.sleeping {
		return nil
	}
	var err error
	if l.sleeping, err = l.session.Sleep(ctx); l.sleeping {
		l.nextRead = time.Time{}
	}
	return err
}

func (l *loop) wakeUp(ctx context.Context) error {
	if !l.sleeping {
		return nil
	}
	l.sleeping, l.wokeUp = false, time.Now()
	return l.session.WakeUp(ctx)
}

// wait returns when there may be something to do: an answer of the broker, a new row, the time to read or to move the
// cursor.
func (l *loop) wait(ctx context.Context) error {
	pause := min(l.options.Fallback, l.untilDue())
	if l.room() > 0 {
		pause = min(pause, time.Until(l.nextRead))
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
		l.nextRead, l.retried = time.Time{}, time.Time{} // of a row, or of an operator's wish
	}
	return err
}
