package relay

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill.example/outbox-relay/internal/cursor"
	"waybill.example/outbox-relay/internal/source"
)

// gaps keeps account of the ids that are missing below the highest that was read, to find out which
// of them no transaction can fill any more, and which of them need not be looked into in the
// meantime. It does no I/O.
//
// Ids are handed out before commit, in order. Each look at the database sorts the gaps that are new
// since the last one into a cohort: they lie above those seen before, so a cohort is a range of
// ids, and its gaps are what is missing there. With it goes the set of its allocators: the
// transactions that had been given ids by then and had not ended.
//
// # Why nothing is missed
//
// An id of a cohort was handed out before the look began. So its transaction either had ended by
// then, and is visible to every later read, if at all; or it is one of the allocators. Hence:
//
//   - A gap is closable when all its allocators have ended. Then one more read, which began after
//     that was seen, must find the row; where it finds none, the id was rolled back. A grace time
//     must have gone by too, for what Postgres cannot show: an id allocated in one transaction and
//     inserted in another.
//   - A gap into which a read has looked, after it was sorted, can be filled by its allocators
//     only. It need not be looked into again before one of them has ended. The read itself makes
//     sure of that, in its own snapshot: see source.readGatedSQL. With the look at locks alone the
//     order of a key could break: (1) the look finds the allocator of row 7 alive; (2) it commits,
//     and another writer, having seen row 7, commits row 9 of the same key; (3) a read passes over
//     7 and finds 9.
//   - An id that was never handed out, because a row was given a higher one by hand, is in no
//     cohort, and never closed.
//
// A read looks into so many gaps and no further: it covers the ids below some id. That breaks no
// order, as it leaves out only what is above, and lets thousands of gaps be looked into in pieces:
// what a read has seen to be empty the next one passes over. A cohort is split where a read ended.
//
// A prepared transaction is given no further id. What was handed out after it was first seen as
// prepared does not wait for it.
type gaps struct {
	cohorts  []cohort         // ascending and apart
	sorted   int64            // the gaps below are in cohorts
	prepared map[string]int64 // of each prepared allocator, the highest id it can have, once that is known
	looked   time.Time
	swept    time.Time // when all gaps were last due to be looked into
}

type cohort struct {
	ids        cursor.Range
	seen       time.Time
	allocators map[string]source.Allocator
	// empty says that a read has looked into the cohort since an allocator last ended, and found
	// nothing.
	empty    bool
	closable bool
}

const (
	lookEvery = 200 * time.Millisecond
	// Up to this many ranges, looking into all of them costs less than thinking about it.
	fewGaps = 64
	// A row that came into a gap past the sequence, with an id set by hand, is found by then.
	sweepGaps = 30 * time.Second
	// Beyond this number of transactions, a read looks into the gap rather than at them.
	fewAllocators = 16
	// Into how many gaps a read looks that the next one can pass over, so that it takes some
	// milliseconds.
	readGaps = 5000
)

// look sorts new gaps into a cohort, and finds out which cohorts lost an allocator or all of them.
// The horizon must have been read after taken was last changed.
func (g *gaps) look(taken *cursor.Set, h source.Horizon, now time.Time, grace time.Duration) {
	alive := g.alive(h)
	kept := g.cohorts[:0]
	for _, c := range g.cohorts {
		first, open := taken.FirstGap(c.ids)
		if !open {
			continue
		}
		c.ids.Lo = first
		c.survive(alive)
		c.closable = c.closable || len(c.allocators) == 0 && now.Sub(c.seen) >= grace
		if n := len(kept); n > 0 && kept[n-1].joins(c, now, grace) {
			kept[n-1].ids.Hi, kept[n-1].seen = c.ids.Hi, c.seen
			continue
		}
		kept = append(kept, c)
	}
	g.cohorts = kept
	g.sort(taken, h, alive, now)
}

// sort makes a cohort of the gaps that are new.
func (g *gaps) sort(taken *cursor.Set, h source.Horizon, alive map[string]source.Allocator, now time.Time) {
	fresh := cursor.Range{Lo: max(g.sorted, 1), Hi: min(taken.End(), h.Allocated+1)}
	if fresh.Hi <= fresh.Lo {
		return
	}
	g.sorted = fresh.Hi
	first, open := taken.FirstGap(fresh)
	if !open {
		return
	}
	fresh.Lo = first
	allocators := maps.Clone(alive)
	maps.DeleteFunc(allocators, func(key string, a source.Allocator) bool {
		highest, known := g.prepared[key]
		return a.Prepared && known && highest < fresh.Lo
	})
	g.cohorts = append(g.cohorts, cohort{ids: fresh, seen: now, allocators: allocators})
}

// alive returns the allocators by key, and learns which ids the prepared ones can have: one that
// the last look saw can have none that was handed out after it.
func (g *gaps) alive(h source.Horizon) map[string]source.Allocator {
	alive := make(map[string]source.Allocator, len(h.Allocators))
	seen := make(map[string]int64)
	for _, a := range h.Allocators {
		key := a.Transaction
		if a.Prepared {
			key = "prepared/" + strconv.FormatInt(a.XID, 10)
			highest, known := g.prepared[key]
			switch {
			case !known:
				highest = unknownID
			case highest == unknownID:
				highest = h.Allocated
			}
			seen[key] = highest
		}
		alive[key] = a
	}
	g.prepared = seen
	return alive
}

// unknownID is above every id there can be.
const unknownID = 1<<63 - 1

// survive drops the allocators that have ended. One that was prepared has lost its backend and kept
// its number.
func (c *cohort) survive(alive map[string]source.Allocator) {
	for key, old := range c.allocators {
		if now, ok := alive[key]; ok {
			c.allocators[key] = now
			continue
		}
		delete(c.allocators, key)
		c.empty = false
		if old.Prepared {
			continue
		}
		for key, now := range alive {
			if now.Prepared && number(now.Transaction) == number(old.Transaction) {
				c.allocators[key] = now
			}
		}
	}
}

func number(transaction string) string {
	return transaction[strings.LastIndexByte(transaction, '/')+1:]
}

// joins says whether two neighbours wait for the same transactions, so that one cohort does for
// both. Their number is then that of the transactions that are open for long, however many gaps
// those hold.
func (c *cohort) joins(next cohort, now time.Time, grace time.Duration) bool {
	return !c.closable && !next.closable && c.empty == next.empty && now.Sub(next.seen) >= grace &&
		maps.EqualFunc(c.allocators, next.allocators, func(a, b source.Allocator) bool { return a == b })
}

// passable says whether a read may pass over the cohort's gaps, given that its allocators have not
// finished.
func (c *cohort) passable() bool { return c.empty && !c.closable && c.known() }

// known says whether a read can tell that the allocators have not finished. Where it cannot, each
// has to look into the gaps.
func (c *cohort) known() bool {
	if len(c.allocators) > fewAllocators {
		return false
	}
	for _, a := range c.allocators {
		if a.XID == 0 {
			return false
		}
	}
	return true
}

// reading returns where the next read has to look.
func (g *gaps) reading(taken *cursor.Set, limit int, now time.Time) source.Reading {
	r := source.Reading{End: taken.End(), Covered: taken.End(), Limit: limit}
	if len(taken.Ranges()) <= fewGaps {
		r.Gaps = taken.Gaps()
		return r
	}
	if now.Sub(g.swept) >= sweepGaps {
		g.swept = now
		g.doubt()
	}
	room := readGaps
	for i := range g.cohorts {
		c := &g.cohorts[i]
		if c.passable() {
			for _, a := range c.allocators {
				if !slices.Contains(r.Unfinished, a.XID) {
					r.Unfinished = append(r.Unfinished, a.XID)
				}
			}
			continue
		}
		if !c.known() && !c.closable {
			r.Gaps = append(r.Gaps, taken.GapsIn(c.ids)...)
			continue
		}
		gaps := taken.FirstGaps(c.ids, room+1)
		if len(gaps) > room {
			r.Covered, r.End = gaps[room].Lo, source.NoID
			r.Gaps = append(r.Gaps, gaps[:room]...)
			return r
		}
		r.Gaps, room = append(r.Gaps, gaps...), room-len(gaps)
	}
	r.Gaps = append(r.Gaps, taken.GapsIn(cursor.Range{Lo: max(g.sorted, 1), Hi: r.End})...)
	return r
}

// found notes what a read has seen of the gaps below upTo: it has looked into those that it was
// asked to, and their rows are in taken. It returns the ids that no row will ever have, and takes
// them out of the gaps.
func (g *gaps) found(taken *cursor.Set, upTo int64) *cursor.Set {
	closed := &cursor.Set{}
	for i := 0; i < len(g.cohorts) && g.cohorts[i].ids.Lo < upTo; i++ {
		c := &g.cohorts[i]
		switch {
		case c.closable:
			for _, gap := range taken.GapsIn(cursor.Range{Lo: c.ids.Lo, Hi: min(c.ids.Hi, upTo)}) {
				closed.Add(gap)
			}
		case c.passable(): // passed over, which is as good: no allocator had finished
		case c.ids.Hi <= upTo:
			c.empty = true
		default:
			rest := *c
			rest.ids.Lo, rest.allocators = upTo, maps.Clone(c.allocators)
			c.ids.Hi, c.empty = upTo, true
			g.cohorts = slices.Insert(g.cohorts, i+1, rest)
		}
	}
	return closed
}

// doubt has the next reads look into all gaps.
func (g *gaps) doubt() {
	for i := range g.cohorts {
		g.cohorts[i].empty = false
	}
}

// missed notes that a transaction has finished on which the last read relied.
func (g *gaps) missed() {
	g.doubt()
	g.looked = time.Time{}
}
