package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill/outbox-relay/internal/cursor"
	"waybill/outbox-relay/internal/publish"
	"waybill/outbox-relay/internal/source"
)

// ripe says which ids the rules allow to be given up.
func (h *holes) ripe() string {
	all := &cursor.Set{}
	for _, g := range h.generations {
		if g.ripe {
			all.AddSet(g.ids)
		}
	}
	return all.String()
}

func open(ids ...int64) *cursor.Set {
	s := &cursor.Set{}
	for _, id := range ids {
		s.AddID(id)
	}
	return s
}

// Each case changes one thing about a hole that is otherwise ripe: seen at second 0 with xids below 100 handed out and
// the transaction 3/7 holding the sequence, looked at again at second 10.
func TestAHoleIsRipeOnlyWhenNobodyCanFillIt(t *testing.T) {
	t.Parallel()
	start := time.Now()
	gone := source.Horizon{Xmin: 100, Xmax: 120, Drawers: []string{"3/8", "4/1"}}
	for name, c := range map[string]struct {
		change func(*source.Horizon)
		after  time.Duration
		want   string
	}{
		"all have ended":              {func(*source.Horizon) {}, 10 * time.Second, "{[5,6)}"},
		"an xid of then is running":   {func(h *source.Horizon) { h.Xmin = 99 }, 10 * time.Second, "{}"},
		"a drawer has not ended":      {func(h *source.Horizon) { h.Drawers = []string{"4/1", "3/7"} }, 10 * time.Second, "{}"},
		"a drawer may be prepared":    {func(h *source.Horizon) { h.Prepared = 1 }, 10 * time.Second, "{}"},
		"it is younger than its time": {func(*source.Horizon) {}, time.Second, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &holes{}
			h.update(open(5), source.Horizon{Xmin: 90, Xmax: 100, Drawers: []string{"3/7"}}, start, 2*time.Second)
			require.Equal(t, "{}", h.ripe(), "a hole is never ripe when it is first seen")
			now := gone
			c.change(&now)
			h.update(open(5), now, start.Add(c.after), 2*time.Second)
			require.Equal(t, c.want, h.ripe())
		})
	}
}

func TestHolesSeenLaterRipenLater(t *testing.T) {
	t.Parallel()
	start, h := time.Now(), &holes{}
	h.update(open(5), source.Horizon{Xmin: 90, Xmax: 100}, start, 2*time.Second)
	h.update(open(5, 9), source.Horizon{Xmin: 95, Xmax: 200}, start.Add(time.Second), 2*time.Second)
	h.update(open(5, 9), source.Horizon{Xmin: 150, Xmax: 300}, start.Add(9*time.Second), 2*time.Second)
	require.Equal(t, "{[5,6)}", h.ripe(), "transactions from between the two sightings may still fill 9")
	h.update(open(9), source.Horizon{Xmin: 200, Xmax: 300}, start.Add(10*time.Second), 2*time.Second)
	require.Equal(t, "{[9,10)}", h.ripe(), "what was filled is forgotten")
	require.Len(t, h.generations, 1)
}

func TestALeaderIsFrozenOnlyIfItSaysNothingForLongWhileItIsWaitedFor(t *testing.T) {
	t.Parallel()
	start := time.Now()
	waiting := source.Holder{PID: 7, Activity: "10:00:00", AwaitsClient: true}
	working := source.Holder{PID: 7, Activity: "10:00:00"}
	next := source.Holder{PID: 7, Activity: "10:00:01", AwaitsClient: true}
	w := watch{patience: 3 * time.Second}
	require.False(t, w.frozen(waiting, start))
	require.False(t, w.frozen(waiting, start.Add(2*time.Second)))
	require.False(t, w.frozen(next, start.Add(4*time.Second)), "it has done something")
	require.False(t, w.frozen(next, start.Add(6*time.Second)))
	require.True(t, w.frozen(next, start.Add(7*time.Second)))
	require.False(t, w.frozen(working, start.Add(60*time.Second)), "the server is at work for it")
}

func TestAClockThatWasSetBackMakesNoNegativeLatency(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.Zero(t, age(now.Add(time.Hour).UnixMicro(), now))
	require.InDelta(t, 3600, age(now.Add(-time.Hour).UnixMicro(), now), 0.001)
}

func TestWhatComesIsSentAsSoonAsThereIsLittleOfIt(t *testing.T) {
	t.Parallel()
	const limit = 1000
	long := time.Now().Add(-time.Minute)
	for what, c := range map[string]struct {
		asleep bool
		woke   time.Time
		found  []int
		want   publish.Pace
	}{
		"single rows, asleep":                {true, long, []int{1, 2, 1}, publish.Prompt},
		"single rows, awake":                 {false, long, []int{1, 2, 1}, publish.Steady},
		"single rows, asleep for a moment":   {true, time.Now(), []int{1, 2, 1}, publish.Steady},
		"a backlog":                          {false, long, []int{limit, limit, limit}, publish.Bulk},
		"a burst is no backlog yet":          {false, long, []int{3, limit, limit}, publish.Steady},
		"what follows a backlog":             {false, long, []int{limit, limit, limit, 5}, publish.Steady},
		"many rows do not end a backlog yet": {false, long, []int{limit, limit, limit, limit / 2}, publish.Bulk},
	} {
		leader := &term{Source: &Source{options: Options{BatchRows: limit}}, sleeping: c.asleep, wokeUp: c.woke}
		for _, found := range c.found {
			leader.choosePace(found, limit)
		}
		require.Equal(t, c.want, leader.wanted, what)
	}
}
