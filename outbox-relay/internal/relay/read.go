package relay

import (
	"context"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// read reads a batch if it is time and there is room, and hands its rows to the producer as they come.
func (t *term) read(ctx context.Context) error {
	limit := t.room()
	now := time.Now()
	if t.session.Notified() { // along with the answer to a statement
		t.nextRead = time.Time{}
	}
	if limit == 0 || t.paused || now.Before(t.nextRead) {
		return nil
	}
	if err := t.changeOver(now); err != nil {
		return err
	}
	batch := t.batch(t.found)
	batch.At = now
	t.streaming = true
	reading := t.gaps.reading(t.taken, limit, now)
	complete, err := t.session.Read(ctx, reading, batch, t.arrived)
	t.streaming = false
	t.taken.AddSet(&batch.IDs)
	found := len(batch.Rows)
	if t.found = found; found == 0 {
		t.recycle(batch)
	} else {
		t.charge(batch.Bytes())
		t.batches = append(t.batches, batch)
		t.lastRow = now
		t.meters.batch.Observe(float64(found))
	}
	if err != nil {
		return err
	}
	if !complete {
		t.gaps.missed()
		return nil // the next round looks into the gaps
	}
	t.profile.next(found, limit, t.options.BatchRows, t.sleeping && time.Since(t.wokeUp) > quietPeriod, now)
	switch {
	case found == limit:
		t.closeGaps(batch.Rows[found-1].ID)
	case reading.End == source.NoID:
		t.closeGaps(reading.Covered)
		t.nextRead = time.Time{} // there are more gaps to look into
		return nil
	default:
		t.closeGaps(t.taken.End())
	}
	return t.schedule(ctx, found)
}

// room returns how many rows may be read now.
func (t *term) room() int {
	if t.paused || t.down || !t.alive() || t.rows > 0 && !t.stalled && t.changing(time.Now()) {
		return 0
	}
	return t.space()
}

// space returns how many rows there is place for in memory.
func (t *term) space() int {
	if t.bytes > 0 && !t.fits(0) {
		return 0
	}
	rows := min(t.options.BatchRows, t.options.InFlightRows-t.rows)
	if rows < min(t.options.BatchRows, t.options.InFlightRows)/4 {
		return 0 // a few answers do not make a batch
	}
	return rows
}

// Few rows take a new batch, which is small; a large one would be kept by its last row.
const fewRows = 64

// batch returns an empty batch. About how many rows are expected?
func (t *term) batch(expected int) *source.Batch {
	if n := len(t.spare); n > 0 && expected > fewRows {
		b := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return b
	}
	return source.NewBatch(t.options.BatchRows)
}

// Batches that are kept for their memory.
const maxSpare = 16

func (t *term) recycle(batch *source.Batch) {
	if len(t.spare) < maxSpare && len(batch.Rows) > fewRows {
		batch.Reset()
		t.spare = append(t.spare, batch)
	}
}

// arrived deals with a row that has just come from the wire.
func (t *term) arrived(row *source.Row) {
	f := t.arrive(row)
	if len(f.queue) == 0 && t.alive() && t.offer(f, row) {
		return
	}
	t.flows.enqueue(f, row)
}

// arrive counts a row that has been read.
func (t *term) arrive(row *source.Row) *flow {
	f := t.flows.of(row.Topic)
	if f.rows == 0 {
		f.progress = t.now
	}
	t.rows++
	f.rows++
	return f
}

// schedule decides when to read next: at once when there is much, after a breath when there is little, so that
// Postgres is not kept busy with tiny reads, and ever later when there is nothing, until the relay sleeps.
func (t *term) schedule(ctx context.Context, found int) error {
	now := time.Now()
	if found > 0 {
		if now.Sub(t.foundAt) > lull {
			t.inARow = 0
		}
		t.inARow, t.foundAt = t.inARow+1, now
	}
	switch {
	case found > 0 && t.sleeping && found < wakeRows && t.inARow < wakeReads:
		t.nextRead = now.Add(t.pause) // few rows, and their writers notify: sleep on
		return nil
	case found > 0:
		if found < t.options.BatchRows/4 {
			t.nextRead = now.Add(t.breath())
			if t.stalled {
				t.nextRead = now.Add(stalledPause) // no row of these is urgent, and each read keeps a batch
			}
		}
		t.busy, t.pause = true, t.options.PollMin
		return t.wakeUp(ctx)
	case t.sleeping && t.session.WritersNotify():
		t.pause = t.options.Fallback
	case t.sleeping, now.Sub(t.lastRow) >= quietPeriod:
		t.pause = min(2*t.pause, unnotified)
	default:
		t.pause = min(2*t.pause, t.options.PollMax)
	}
	t.busy = false
	t.nextRead = now.Add(t.pause)
	if t.rows == 0 && now.Sub(t.lastRow) >= t.options.Quiet {
		return t.fallAsleep(ctx)
	}
	return nil
}

// How often the relay looks where nobody tells it of rows: writers may prepare their transactions, and so cannot notify, or
// a transaction that has inserted rows stays open, and so the relay cannot fall asleep.
const unnotified = 50 * time.Millisecond

// A relay that sleeps wakes up for good, and polls, when a read finds so many rows, or so many reads without a lull
// between them find some. Below that it costs less to be notified of each row than to look for it.
const (
	wakeRows  = 16
	wakeReads = 8
	lull      = 5 * time.Millisecond
)

// stalledPause is the least pause between reads that find little while rows wait for the broker.
const stalledPause = 20 * time.Millisecond

// breath is the pause after a read that found few rows. Where the one before it found some as well, writers are at
// work all the time, and would rather have the processor than save their readers a millisecond.
func (t *term) breath() time.Duration {
	if t.busy {
		return 3 * t.options.PollMin
	}
	return t.options.PollMin
}

// fallAsleep stays awake while a writer has inserted rows that it has not committed. Asleep, it reads once more at
// once, for the rows whose writers were done before they could be told to notify.
func (t *term) fallAsleep(ctx context.Context) error {
	if t.sleeping {
		return nil
	}
	var err error
	if t.sleeping, err = t.session.Sleep(ctx); t.sleeping {
		t.nextRead = time.Time{}
	}
	return err
}

func (t *term) wakeUp(ctx context.Context) error {
	if !t.sleeping {
		return nil
	}
	t.sleeping, t.wokeUp = false, time.Now()
	return t.session.WakeUp(ctx)
}

// wait returns when there may be something to do: an answer of the broker, a new row, the time to read or to move the
// cursor.
func (t *term) wait(ctx context.Context) error {
	pause := min(t.options.Fallback, t.untilDue())
	if t.room() > 0 {
		pause = min(pause, time.Until(t.nextRead))
	}
	switch {
	case t.life.state != running:
		pause = min(pause, time.Until(t.life.until))
	case t.broken != nil:
		return nil
	}
	if pause <= 0 {
		return nil
	}
	if t.rows == 0 && len(t.probing) == 0 {
		return t.idle(ctx, pause)
	}
	if t.sent == 0 || len(t.flows.queued) > 0 {
		pause = min(pause, blockedPause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	t.await(ctx, timer.C)
	return nil
}

// await waits for one answer, or for the timer.
func (t *term) await(ctx context.Context, timer <-chan time.Time) {
	select {
	case event := <-t.events():
		t.now = time.Now()
		t.answered(event)
	case event := <-t.complaints():
		t.clientSays(event)
	case a := <-t.prober.Answers():
		t.now = time.Now()
		t.probed(a)
	case e := <-t.isolated:
		t.now = time.Now()
		t.isolatedSays(e)
	case <-timer:
	case <-ctx.Done():
	}
}

// How soon rows are offered again that the producer could not take.
const blockedPause = 50 * time.Millisecond

// idle waits for a notification. Nothing is in flight that could be answered.
func (t *term) idle(ctx context.Context, pause time.Duration) error {
	notified, err := t.session.WaitForRow(ctx, pause)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the loop ends by itself
	}
	if notified {
		t.nextRead, t.retried = time.Time{}, time.Time{} // of a row, or of an operator's wish
	}
	return err
}
