package relay

import (
	"context"
	"slices"
	"time"

	"waybill.example/outbox-relay/internal/source"
)

// moves decides when the cursor is moved. What was acknowledged since its last move is published
// again after a crash, and each move is a statement. It is a state machine without I/O.
type moves struct {
	began        time.Time // the last move
	acknowledged int       // rows since then
	took         [2]time.Duration
}

const (
	// The cursor is moved at most this often while that is all there is to say. A row that comes
	// after a pause moves it at once. At a few hundred rows a second it saves nine statements of
	// ten.
	advanceEvery = 50 * time.Millisecond
	// advanceSoon is the pause where rows are quarantined, of which there may be thousands.
	advanceSoon = 5 * time.Millisecond
	// markRows is how many rows are acknowledged until the cursor is moved sooner, as during a
	// drain.
	markRows       = 1000
	longestAdvance = 2 * time.Second
)

// moved notes that the cursor was moved.
func (m *moves) moved(began time.Time, took time.Duration) {
	m.began, m.acknowledged = began, 0
	m.took = [2]time.Duration{m.took[1], took}
}

// next is when the cursor is to be moved. It takes a twentieth of the time at most, and a fifth
// where many rows were acknowledged, also where it has many gaps, or a long transaction keeps its
// old versions from being removed. One move that took long says nothing: it may have waited for a
// processor, and a pause of twenty times that would be a second of rows.
func (m *moves) next(urgent bool) time.Time {
	took := min(m.took[0], m.took[1])
	pause := max(advanceEvery, 20*took)
	switch {
	case urgent:
		pause = advanceSoon
	case m.acknowledged >= markRows:
		pause = 4 * took
	}
	return m.began.Add(min(pause, longestAdvance))
}

// untilDue is how long it may take until the step is made durable.
func (l *loop) untilDue() time.Duration {
	if l.step.Empty() && l.moves.acknowledged < markRows {
		return l.options.Fallback
	}
	return time.Until(l.moves.next(l.step.Urgent()))
}

// advance makes durable what has been completed since the last time.
func (l *loop) advance(ctx context.Context) error {
	l.collect()
	for _, b := range l.batches {
		l.accountFirst(b)
	}
	began := time.Now()
	if l.step.Empty() {
		l.moves.acknowledged = 0 // the rows before them have to be answered first
		return nil
	}
	paused, err := l.session.Advance(ctx, &l.step)
	if err != nil {
		return err
	}
	l.moves.moved(began, time.Since(began))
	l.step.Clear()
	l.confirmed(paused)
	return nil
}

// partlyEvery is how often the completed rows of batches are accounted for that wait for others of
// theirs.
const partlyEvery = time.Second

// collect takes the batches whose last row is completed out of the flight. Of the others, what is
// completed goes to the cursor now and then, so that a row that waits keeps none of its neighbours
// from being known as published.
func (l *loop) collect() {
	partly := l.now.Sub(l.accountedAt) >= partlyEvery
	if partly {
		l.accountedAt = l.now
	}
	kept := l.batches[:0]
	for _, b := range l.batches {
		if b.Incomplete > 0 {
			if partly && l.now.Sub(b.At) >= partlyEvery {
				l.account(b)
			}
			kept = append(kept, b)
			continue
		}
		l.account(b)
		if b.Origin == source.Released {
			l.retried = time.Time{} // the next page of them
		}
		l.charge(-b.Bytes())
		l.recycle(b)
	}
	clear(l.batches[len(kept):])
	l.batches = kept
}

// witness returns the last row of a batch that was published, or the one before it.
func witness(b *source.Batch, before *source.Witness) *source.Witness {
	for _, row := range slices.Backward(b.Rows) {
		if row.State == source.Completed && !row.Quarantined {
			return &source.Witness{ID: row.ID, EventID: row.EventID}
		}
	}
	return before
}

// account notes the completed rows of a batch for the next step.
func (l *loop) account(b *source.Batch) {
	if b.Origin == source.New {
		l.witness = witness(b, l.witness)
	}
	if b.Origin == source.New && b.Incomplete == 0 {
		l.step.Done.AddSet(&b.IDs)
		return
	}
	for _, row := range b.Rows {
		if row.State == source.Completed && !row.Accounted {
			l.accountRow(b, row)
		}
	}
}

// accountFirst does so for the rows in front of the first incomplete one. They make few ranges,
// which all that are completed would not: each partition is answered by itself.
func (l *loop) accountFirst(b *source.Batch) {
	for b.Accounted < len(b.Rows) && b.Rows[b.Accounted].State == source.Completed {
		if row := b.Rows[b.Accounted]; !row.Accounted {
			l.accountRow(b, row)
		}
		b.Accounted++
	}
}

func (l *loop) accountRow(b *source.Batch, row *source.Row) {
	row.Accounted = true
	switch {
	case b.Origin == source.New:
		l.step.Done.AddID(row.ID)
	case b.Origin == source.Late:
		l.step.Late.AddID(row.ID)
	case !row.Quarantined:
		l.step.Released = append(l.step.Released, row.ID)
	}
}
