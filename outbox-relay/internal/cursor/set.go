// Package cursor holds the arithmetic of what the relay has dealt with: a set of outbox ids, kept
// as sorted ranges. Almost all of it is one range from the first id to the last; the gaps are ids
// whose transactions had not committed when the relay looked. It does no I/O, so that it can be
// tested with every interleaving.
package cursor

import (
	"cmp"
	"math"
	"slices"
)

// Range is the ids from Lo up to, but without, Hi. It is empty if Hi <= Lo.
type Range struct{ Lo, Hi int64 }

// Set is a set of ids. The zero value is empty and ready for use. A Set is not safe for concurrent
// use, and must not be copied by assignment once it has been added to: see Clone.
type Set struct {
	ranges []Range // ascending, not empty, neither overlapping nor touching
}

// Of returns the set of the ids in the ranges, which may be in any order and overlap.
func Of(ranges ...Range) *Set {
	s := &Set{}
	for _, r := range ranges {
		s.Add(r)
	}
	return s
}

// Add puts the ids of r into the set. Ids added in ascending order cost constant time.
func (s *Set) Add(r Range) {
	if r.Hi <= r.Lo {
		return
	}
	if n := len(s.ranges); n > 0 && r.Lo >= s.ranges[n-1].Lo {
		last := &s.ranges[n-1]
		if r.Lo <= last.Hi {
			last.Hi = max(last.Hi, r.Hi)
			return
		}
	} else if n > 0 {
		s.insert(r)
		return
	}
	s.ranges = append(s.ranges, r)
}

// insert merges r with every range that it overlaps or touches.
func (s *Set) insert(r Range) {
	first, _ := slices.BinarySearchFunc(s.ranges, r.Lo, func(e Range, lo int64) int { return cmp.Compare(e.Hi, lo) })
	after := first
	for after < len(s.ranges) && s.ranges[after].Lo <= r.Hi {
		r.Lo = min(r.Lo, s.ranges[after].Lo)
		r.Hi = max(r.Hi, s.ranges[after].Hi)
		after++
	}
	s.ranges = slices.Replace(s.ranges, first, after, r)
}

// AddID puts one id into the set.
func (s *Set) AddID(id int64) { s.Add(Range{id, id + 1}) }

// AddSet puts the ids of other into the set.
func (s *Set) AddSet(other *Set) {
	if len(other.ranges) > fewRanges && len(s.ranges) > 0 && other.ranges[0].Lo < s.ranges[len(s.ranges)-1].Lo {
		s.merge(other)
		return
	}
	for _, r := range other.ranges {
		s.Add(r)
	}
}

// From this many ranges on, one pass over both sets costs less than moving the rest of the set for
// each range.
const fewRanges = 8

// merge puts the ids of other into the set in one pass over both.
func (s *Set) merge(other *Set) {
	union := Set{ranges: make([]Range, 0, len(s.ranges)+len(other.ranges))}
	a, b := s.ranges, other.ranges
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || (len(a) > 0 && a[0].Lo <= b[0].Lo) {
			union.Add(a[0])
			a = a[1:]
		} else {
			union.Add(b[0])
			b = b[1:]
		}
	}
	s.ranges = union.ranges
}

// Contains says whether id is in the set.
func (s *Set) Contains(id int64) bool {
	i := s.search(id)
	return i < len(s.ranges) && s.ranges[i].Lo <= id
}

// End returns the id after the highest in the set, and 1, the first id there can be, for an empty
// set.
func (s *Set) End() int64 {
	if len(s.ranges) == 0 {
		return 1
	}
	return s.ranges[len(s.ranges)-1].Hi
}

// Gaps returns the ranges of ids from 1 up to End that are not in the set, ascending.
func (s *Set) Gaps() []Range { return s.GapsIn(Range{1, s.End()}) }

// GapsIn returns the ranges of ids within r that are not in the set, ascending. It costs no more
// than the ranges of the set that are within r.
func (s *Set) GapsIn(r Range) []Range { return s.FirstGaps(r, math.MaxInt) }

// FirstGaps returns the first of GapsIn, at most limit.
func (s *Set) FirstGaps(r Range, limit int) []Range {
	var gaps []Range
	next := r.Lo
	for _, e := range s.ranges[s.search(r.Lo):] {
		if e.Lo >= r.Hi {
			break
		}
		if len(gaps) >= limit {
			return gaps
		}
		if e.Lo > next {
			gaps = append(gaps, Range{next, e.Lo})
		}
		next = max(next, e.Hi)
	}
	if next < r.Hi && len(gaps) < limit {
		gaps = append(gaps, Range{next, r.Hi})
	}
	return gaps
}

// CountGaps returns how many ranges of ids from 1 up to End are not in the set.
func (s *Set) CountGaps() int {
	if len(s.ranges) == 0 || s.ranges[0].Lo <= 1 {
		return max(0, len(s.ranges)-1)
	}
	return len(s.ranges)
}

// FirstGap returns the lowest id within r that is not in the set, and false if all are.
func (s *Set) FirstGap(r Range) (int64, bool) {
	id := r.Lo
	if i := s.search(id); i < len(s.ranges) && s.ranges[i].Lo <= id {
		id = s.ranges[i].Hi // ranges do not touch, so this id is not in the set
	}
	return id, id < r.Hi
}

// search returns the index of the first range that ends above id.
func (s *Set) search(id int64) int {
	i, _ := slices.BinarySearchFunc(s.ranges, id, func(e Range, id int64) int {
		if e.Hi <= id {
			return -1
		}
		return 1
	})
	return i
}

// Intersect returns the ids that are in both sets.
func (s *Set) Intersect(other *Set) *Set {
	both := &Set{}
	a, b := s.ranges, other.ranges
	for len(a) > 0 && len(b) > 0 {
		both.Add(Range{max(a[0].Lo, b[0].Lo), min(a[0].Hi, b[0].Hi)})
		if a[0].Hi < b[0].Hi {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}

// Subtract returns the ids of s that are not in other.
func (s *Set) Subtract(other *Set) *Set {
	rest := &Set{}
	b := other.ranges
	for _, r := range s.ranges {
		for len(b) > 0 && b[0].Hi <= r.Lo {
			b = b[1:]
		}
		lo := r.Lo
		for _, cut := range b {
			if cut.Lo >= r.Hi {
				break
			}
			rest.Add(Range{lo, cut.Lo})
			lo = cut.Hi
		}
		rest.Add(Range{lo, r.Hi})
	}
	return rest
}

// Ranges returns the ranges of the set, ascending and apart from each other. The caller must not
// change them.
func (s *Set) Ranges() []Range { return s.ranges }

// Size returns how many ids are in the set.
func (s *Set) Size() int64 {
	var n int64
	for _, r := range s.ranges {
		n += r.Hi - r.Lo
	}
	return n
}

// Empty says whether no id is in the set.
func (s *Set) Empty() bool { return len(s.ranges) == 0 }

// Clear makes the set empty and keeps its memory.
func (s *Set) Clear() { s.ranges = s.ranges[:0] }

// Clone returns a copy that shares nothing with s.
func (s *Set) Clone() *Set { return &Set{ranges: slices.Clone(s.ranges)} }
