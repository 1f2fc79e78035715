package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/cursor"
	"waybill.example/outbox-relay/internal/source"
)

const two = 2 * time.Second // the grace of these tests

// except returns the ids from 1 up to end but for some: what a leader has read.
func except(end int64, missing ...int64) *cursor.Set {
	gaps := &cursor.Set{}
	for _, id := range missing {
		gaps.AddID(id)
	}
	return cursor.Of(cursor.Range{Lo: 1, Hi: end}).Subtract(gaps)
}

func session(transaction string, xid int64) source.Allocator {
	return source.Allocator{Transaction: transaction, XID: xid}
}

func horizon(allocated int64, allocators ...source.Allocator) source.Horizon {
	return source.Horizon{Allocated: allocated, Allocators: allocators}
}

// Each case changes one thing about a gap that is otherwise closable: seen at second 0 while the
// transaction 3/7 held the sequence, looked at again at second 10, and then into.
func TestGaps_CloseOnlyWhenNobodyCanFillThem(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for name, c := range map[string]struct {
		first, then source.Horizon
		after       time.Duration
		want        string
	}{
		"all have ended":              {horizon(9, session("3/7", 0)), horizon(9, session("3/8", 800), session("4/1", 0)), 10 * time.Second, "{[5,6)}"},
		"an allocator has not ended":  {horizon(9, session("3/7", 0)), horizon(9, session("4/1", 0), session("3/7", 0)), 10 * time.Second, "{}"},
		"it was prepared since":       {horizon(9, session("3/7", 0)), horizon(9, source.Allocator{Transaction: "-1/7", XID: 700, Prepared: true}), 10 * time.Second, "{}"},
		"another one was prepared":    {horizon(9, session("3/7", 0)), horizon(9, source.Allocator{Transaction: "-1/6", XID: 700, Prepared: true}), 10 * time.Second, "{[5,6)}"},
		"it is younger than its time": {horizon(9, session("3/7", 0)), horizon(9), time.Second, "{}"},
		"its id was not handed out":   {horizon(4), horizon(4), 10 * time.Second, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, taken := &gaps{}, except(10, 5)
			g.look(taken, c.first, start, two)
			require.Equal(t, "{}", g.found(taken, 10).String(), "a gap is never closable when it is first seen")
			g.look(taken, c.then, start.Add(c.after), two)
			require.Equal(t, c.want, g.found(taken, 10).String())
		})
	}
}

func TestGaps_CloseNoFurtherThanAReadHasLooked(t *testing.T) {
	t.Parallel()
	start, g, taken := time.Now(), &gaps{}, except(10, 3, 7)
	g.look(taken, horizon(9), start, two)
	g.look(taken, horizon(9), start.Add(two), two)
	require.Equal(t, "{[3,4)}", g.found(taken, 5).String())
	taken.AddID(3)
	require.Equal(t, "{[7,8)}", g.found(taken, 10).String())
}

func TestGaps_SeenLaterCloseLater(t *testing.T) {
	t.Parallel()
	start, g := time.Now(), &gaps{}
	g.look(except(8, 5), horizon(7, session("3/7", 700)), start, two)
	both := except(12, 5, 9)
	g.look(both, horizon(11, session("4/4", 900)), start.Add(9*time.Second), two)
	require.Equal(t, "{[5,6)}", g.found(both, 12).String(), "4/4 began later, and may fill 9")
	rest := except(12, 9)
	g.look(rest, horizon(11), start.Add(20*time.Second), two)
	require.Equal(t, "{[9,10)}", g.found(rest, 12).String())
	g.look(except(12), horizon(11), start.Add(21*time.Second), two)
	require.Empty(t, g.cohorts, "what was filled is forgotten")
}

// A prepared transaction that was forgotten holds what was handed out before it was prepared, and
// nothing after.
func TestGaps_APreparedTransactionHoldsOnlyWhatItCanHave(t *testing.T) {
	t.Parallel()
	start, g := time.Now(), &gaps{}
	forgotten := source.Allocator{Transaction: "-1/7", XID: 700, Prepared: true}
	g.look(except(10, 5), horizon(9, forgotten), start, two)
	g.look(except(20, 5, 15), horizon(19, forgotten), start.Add(time.Second), two)
	taken := except(30, 5, 15, 25)
	g.look(taken, horizon(29, forgotten), start.Add(2*time.Second), two)
	g.look(taken, horizon(29, forgotten), start.Add(10*time.Second), two)
	require.Equal(t, "{[25,26)}", g.found(taken, 30).String(), "15 may have been handed out while it was being prepared")
	g.look(taken, horizon(29), start.Add(20*time.Second), two)
	require.Equal(t, "{[5,6),[15,16),[25,26)}", g.found(taken, 30).String())
}

// many is a cursor with so many gaps that a read has to choose.
func many() *cursor.Set {
	var missing []int64
	for id := int64(2); id <= 400; id += 2 {
		missing = append(missing, id)
	}
	return except(402, missing...)
}

// A read passes over gaps that only known transactions can fill, if it has looked into them once,
// and until one of them has ended.
func TestGaps_AreLookedIntoAgainOnlyWhenAnAllocatorHasEnded(t *testing.T) {
	t.Parallel()
	start, g, taken := time.Now(), &gaps{}, many()
	g.swept = start
	job, other := session("3/7", 700), session("4/2", 710)
	g.look(taken, horizon(401, job, other), start, two)
	require.Len(t, g.reading(taken, 10, start).Gaps, 200, "not yet looked into")
	g.found(taken, 100)
	require.Len(t, g.reading(taken, 10, start).Gaps, 151, "not yet those from 100 on")
	g.found(taken, 402)
	r := g.reading(taken, 10, start)
	require.Empty(t, r.Gaps)
	require.ElementsMatch(t, []int64{700, 710}, r.Unfinished)

	g.look(taken, horizon(401, job), start.Add(time.Second), two)
	require.Len(t, g.reading(taken, 10, start).Gaps, 200, "4/2 may have filled them")
	g.found(taken, 402)
	require.Equal(t, []int64{700}, g.reading(taken, 10, start).Unfinished)

	g.missed()
	require.Len(t, g.reading(taken, 10, start).Gaps, 200, "a read found that one had finished")
	g.found(taken, 402)
	require.Len(t, g.reading(taken, 10, start.Add(sweepGaps)).Gaps, 200, "a row with an id set by hand is found in the end")
}

func TestGaps_AnAllocatorWithoutAnIDIsNotReliedUpon(t *testing.T) {
	t.Parallel()
	start, g, taken := time.Now(), &gaps{}, many()
	g.swept = start
	g.look(taken, horizon(401, session("3/7", 0)), start, two)
	g.found(taken, 402)
	require.Len(t, g.reading(taken, 10, start).Gaps, 200)
	g.look(taken, horizon(401, session("3/7", 700)), start, two)
	require.Equal(t, []int64{700}, g.reading(taken, 10, start).Unfinished)
}

// However long a batch job goes on beside other writers, what is kept about its gaps does not grow
// with its time.
func TestGaps_OfOneLongTransactionAreOneCohort(t *testing.T) {
	t.Parallel()
	start, g, taken := time.Now(), &gaps{}, &cursor.Set{}
	job := session("3/7", 700)
	for i := range int64(1000) {
		taken.Add(cursor.Range{Lo: i*10 + 1, Hi: i*10 + 10}) // every tenth id is the job's
		now := start.Add(time.Duration(i) * lookEvery)
		g.look(taken, horizon(i*10+10, job, session("9/"+string(rune('a'+i%20)), 10_000+i)), now, two)
		g.found(taken, taken.End())
	}
	require.Less(t, len(g.cohorts), 20)
	g.look(taken, horizon(10_000), start.Add(time.Hour), two)
	require.EqualValues(t, 999, g.found(taken, taken.End()).Size())
}

// Thousands of gaps are looked into in pieces: no read takes long, none goes past gaps that it has
// not looked into, and in the end all were.
func TestGaps_AreLookedIntoInPieces(t *testing.T) {
	t.Parallel()
	const count = 2*readGaps + 100
	start, g := time.Now(), &gaps{}
	taken := &cursor.Set{}
	for i := range int64(count) {
		taken.AddID(2*i + 2)
	}
	g.swept = start
	g.look(taken, horizon(2*count, session("3/7", 700)), start, two)
	var read []cursor.Range
	for range 2 {
		r := g.reading(taken, 10, start)
		require.Len(t, r.Gaps, readGaps)
		require.EqualValues(t, source.NoID, r.End)
		require.Equal(t, r.Gaps[readGaps-1].Hi+1, r.Covered)
		read = append(read, r.Gaps...)
		g.found(taken, r.Covered)
	}
	r := g.reading(taken, 10, start)
	require.Equal(t, []int64{700}, r.Unfinished, "what was looked into is passed over")
	require.Equal(t, taken.End(), r.End)
	require.Equal(t, taken.Gaps(), append(read, r.Gaps...))
	g.found(taken, r.Covered)
	require.Empty(t, g.reading(taken, 10, start).Gaps)
	g.look(taken, horizon(2*count, session("3/7", 700)), start.Add(two), two)
	require.Len(t, g.cohorts, 1, "the pieces are one again")

	g.look(taken, horizon(2*count), start.Add(2*two), two)
	for taken.CountGaps() > 0 {
		taken.AddSet(g.found(taken, g.reading(taken, 10, start).Covered))
	}
}

// Where the allocators cannot be told to have finished, a read looks into all gaps, or it would
// never come to what is above.
func TestGaps_OfUnknownAllocatorsDoNotKeepReadsFromTheEnd(t *testing.T) {
	t.Parallel()
	start, g, taken := time.Now(), &gaps{}, &cursor.Set{}
	for i := range int64(2 * readGaps) {
		taken.AddID(2*i + 2)
	}
	g.swept = start
	for _, h := range []source.Horizon{horizon(4*readGaps, session("3/7", 0)), horizon(4 * readGaps)} {
		g.look(taken, h, start, two)
		for range 3 {
			g.found(taken, g.reading(taken, 10, start).Covered)
		}
		r := g.reading(taken, 10, start)
		require.Equal(t, taken.End(), r.End)
		if len(h.Allocators) > 0 {
			require.Equal(t, taken.Gaps(), r.Gaps)
		} else {
			require.Empty(t, r.Gaps, "nobody can fill them; only their time has not come")
		}
	}
}
