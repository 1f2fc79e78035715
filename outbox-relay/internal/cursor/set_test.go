package cursor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"waybill.example/outbox-relay/internal/cursor"
)

// The model is a map of ids: slow, and too simple to be wrong.
type model map[int64]bool

const highest = 60

var anyRange = rapid.Custom(func(t *rapid.T) cursor.Range {
	lo := rapid.Int64Range(1, highest).Draw(t, "lo")
	return cursor.Range{Lo: lo, Hi: lo + rapid.Int64Range(0, 8).Draw(t, "length")}
})

func modelOf(ranges []cursor.Range) model {
	m := model{}
	for _, r := range ranges {
		for id := r.Lo; id < r.Hi; id++ {
			m[id] = true
		}
	}
	return m
}

func requireSame(t require.TestingT, want model, got *cursor.Set) {
	for id := range int64(highest + 10) {
		require.Equal(t, want[id], got.Contains(id), "id %d in %v", id, got)
	}
	require.EqualValues(t, len(want), got.Size())
	previous := cursor.Range{Lo: -2, Hi: -1}
	for _, r := range got.Ranges() {
		require.Less(t, r.Lo, r.Hi, "no empty range in %v", got)
		require.Less(t, previous.Hi, r.Lo, "ranges ascend and do not touch in %v", got)
		previous = r
	}
}

func TestSetHoldsExactlyWhatWasAdded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ranges := rapid.SliceOfN(anyRange, 0, 30).Draw(t, "ranges")
		requireSame(t, modelOf(ranges), cursor.Of(ranges...))
	})
}

func TestHolesAreWhatIsMissingBelowTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := cursor.Of(rapid.SliceOfN(anyRange, 0, 30).Draw(t, "ranges")...)
		missing := model{}
		for id := int64(1); id < set.End(); id++ {
			if !set.Contains(id) {
				missing[id] = true
			}
		}
		gaps := cursor.Of(set.Gaps()...)
		requireSame(t, missing, gaps)
		set.AddSet(gaps)
		require.Empty(t, set.Gaps(), "filled gaps leave none")
	})
}

func TestGapsInARangeAreWhatIsMissingThere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := cursor.Of(rapid.SliceOfN(anyRange, 0, 30).Draw(t, "ranges")...)
		r := anyRange.Draw(t, "within")
		missing, first := model{}, int64(0)
		for id := r.Lo; id < r.Hi; id++ {
			if !set.Contains(id) {
				missing[id] = true
				if first == 0 {
					first = id
				}
			}
		}
		requireSame(t, missing, cursor.Of(set.GapsIn(r)...))
		got, found := set.FirstGap(r)
		require.Equal(t, first != 0, found)
		if found {
			require.Equal(t, first, got)
		}
	})
}

func TestAddSetIsTheUnionHoweverManyRangesItHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(anyRange, 0, 30).Draw(t, "a")
		b := rapid.SliceOfN(anyRange, 0, 30).Draw(t, "b")
		union := cursor.Of(a...)
		union.AddSet(cursor.Of(b...))
		requireSame(t, modelOf(append(a, b...)), union)
	})
}

func TestIntersectAndSubtractSplitASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := cursor.Of(rapid.SliceOfN(anyRange, 0, 20).Draw(t, "a")...)
		b := cursor.Of(rapid.SliceOfN(anyRange, 0, 20).Draw(t, "b")...)
		both, rest := model{}, model{}
		for id := range int64(highest + 10) {
			if a.Contains(id) && b.Contains(id) {
				both[id] = true
			} else if a.Contains(id) {
				rest[id] = true
			}
		}
		requireSame(t, both, a.Intersect(b))
		requireSame(t, rest, a.Subtract(b))
	})
}

func TestTextRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := cursor.Of(rapid.SliceOfN(anyRange, 0, 30).Draw(t, "ranges")...)
		parsed, err := cursor.Parse(set.String())
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(set.Ranges(), parsed.Ranges()))
	})
}

func TestTextIsWhatPostgresWrites(t *testing.T) {
	t.Parallel()
	require.Equal(t, "{}", cursor.Of().String())
	require.Equal(t, "{[1,5),[7,8)}", cursor.Of(cursor.Range{Lo: 7, Hi: 8}, cursor.Range{Lo: 1, Hi: 5}).String())
}

func TestParseRefusesWhatPostgresDoesNotWrite(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "[1,2)", "{[1,2]}", "{(1,2)}", "{[1,)}", "{[,2)}", "{[a,b)}", "{[1,2),[3}"} {
		_, err := cursor.Parse(text)
		require.Error(t, err, text)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	set := cursor.Of(cursor.Range{Lo: 1, Hi: 3})
	clone := set.Clone()
	set.Add(cursor.Range{Lo: 3, Hi: 9})
	require.Equal(t, "{[1,3)}", clone.String())
	set.Clear()
	require.True(t, set.Empty())
	require.EqualValues(t, 1, set.End())
}

func BenchmarkAddAscending(b *testing.B) {
	set := &cursor.Set{}
	for id := range int64(b.N) {
		set.AddID(id)
	}
}
