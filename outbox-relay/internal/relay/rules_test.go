package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/outbox-relay/internal/publish"
	"waybill.example/outbox-relay/internal/source"
)

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
