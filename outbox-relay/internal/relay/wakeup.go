package relay

import (
	"time"

	"waybill.example/chassis/pace"
)

// wakeup decides when to read next, and whether the relay sleeps, by what reads find. It is a state
// machine without I/O:
//
//	        rows stop coming, and nothing is in flight
//	AWAKE ─────────────────────────────────────────────▶ ASLEEP
//	polls ◀───────────────────────────────────────────── writers notify
//	        they come so fast that reads are spaced (see package pace)
//
// Awake, it reads again at once while there is much, after a window while there is little, so that
// neither Postgres nor the broker is kept busy with tiny batches, and ever later while there is
// nothing. Asleep, it costs less to be notified of each row than to look for it.
type wakeup struct {
	sleeping bool
	wokeUp   time.Time
	next     time.Time     // when to read next; zero: at once
	pause    time.Duration // until then, after a read that found nothing

	lastFound time.Time // when a read last found rows
	pace      pace.Pace // of the rows
}

// action is what a wakeup asks the loop to do.
type action uint8

const (
	stay      action = iota
	wakeUp           // tell writers that the relay looks for rows by itself
	goToSleep        // ask writers to notify
)

// surroundings is what a wakeup goes by besides what a read has found.
type surroundings struct {
	batchRows     int           // what a read can find at most
	pollMin       time.Duration // between two reads
	pollMax       time.Duration
	quiet         time.Duration // for how long nothing must have come before it sleeps
	fallback      time.Duration // how often it looks while it sleeps
	writersNotify bool
	stalled       bool // rows have waited for the broker for more than a second
	inFlight      bool
}

const (
	// How often the relay looks where nobody notifies it of rows: writers may prepare their
	// transactions, and so cannot notify, or a transaction that has inserted rows stays open, and
	// so the relay cannot fall asleep.
	unnotified = 50 * time.Millisecond
	// The least pause between reads that find little while rows wait for the broker: none is
	// urgent, and each read keeps a batch.
	stalledPause = 20 * time.Millisecond
)

// found takes how many rows a read has found.
func (w *wakeup) found(rows int, s surroundings, now time.Time) action {
	if rows == 0 {
		return w.foundNothing(s, now)
	}
	w.pace.Began(rows, now)
	w.lastFound = now
	if w.sleeping && !w.pace.Busy(now) {
		w.next = now.Add(w.pause) // few rows, and their writers notify: sleep on
		return stay
	}
	if rows < s.batchRows/4 {
		w.next = now.Add(w.minReadInterval(s, now))
	}
	w.pause = s.pollMin
	if !w.sleeping {
		return stay
	}
	w.sleeping, w.wokeUp = false, now
	return wakeUp
}

func (w *wakeup) foundNothing(s surroundings, now time.Time) action {
	switch {
	case w.sleeping && s.writersNotify:
		w.pause = s.fallback
	case w.sleeping, now.Sub(w.lastFound) >= quietPeriod:
		w.pause = min(2*w.pause, unnotified)
	case w.pace.Busy(now):
		w.pause = pace.Window
	default:
		w.pause = min(2*w.pause, s.pollMax)
	}
	w.next = now.Add(w.pause)
	if !w.sleeping && !s.inFlight && !w.pace.Busy(now) && now.Sub(w.lastFound) >= s.quiet {
		return goToSleep
	}
	return stay
}

// minReadInterval is the pause after a read that found few rows.
func (w *wakeup) minReadInterval(s surroundings, now time.Time) time.Duration {
	switch {
	case s.stalled:
		return stalledPause
	case w.pace.Busy(now):
		return pace.Window
	default:
		return s.pollMin
	}
}

// slept notes that writers notify from here on. One more read at once finds the rows whose writers
// were done before that.
func (w *wakeup) slept() { w.sleeping, w.next = true, time.Time{} }

// notified has the next read begin at once.
func (w *wakeup) notified() { w.next = time.Time{} }

// quiet says that the relay sleeps, and has for a while.
func (w *wakeup) quiet(now time.Time) bool { return w.sleeping && now.Sub(w.wokeUp) > quietPeriod }
