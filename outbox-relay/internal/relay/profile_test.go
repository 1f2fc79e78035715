package relay

import (
	"testing"
	"testing/synctest"
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
	require.False(t, w.unresponsive(waiting, start))
	require.False(t, w.unresponsive(waiting, start.Add(2*time.Second)))
	require.False(t, w.unresponsive(next, start.Add(4*time.Second)), "it has done something")
	require.False(t, w.unresponsive(next, start.Add(6*time.Second)))
	require.True(t, w.unresponsive(next, start.Add(7*time.Second)))
	require.False(t, w.unresponsive(working, start.Add(60*time.Second)), "the server is at work for it")
}

func TestAClockThatWasSetBackMakesNoNegativeLatency(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.Zero(t, age(now.Add(time.Hour).UnixMicro(), now))
	require.InDelta(t, 3600, age(now.Add(-time.Hour).UnixMicro(), now), 0.001)
}

func TestProfile_LingersForWhatComes(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for what, c := range map[string]struct {
		quiet bool
		found []int
		want  publish.Profile
	}{
		"single rows, asleep":                {true, []int{1, 2, 1}, publish.LowLatency},
		"single rows, awake":                 {false, []int{1, 2, 1}, publish.Default},
		"single rows, asleep for a moment":   {false, []int{1, 2, 1}, publish.Default},
		"nothing":                            {false, []int{0, 0}, publish.LowLatency},
		"a backlog":                          {false, []int{limit, limit, limit}, publish.Throughput},
		"a burst is no backlog yet":          {false, []int{3, limit, limit}, publish.Default},
		"what follows a backlog":             {false, []int{limit, limit, limit, 5}, publish.Default},
		"many rows do not end a backlog yet": {false, []int{limit, limit, limit, limit / 2}, publish.Throughput},
	} {
		var p profile
		for _, found := range c.found {
			p.next(found, limit, limit, c.quiet, time.Now())
		}
		require.Equal(t, c.want, p.wanted, what)
	}
}

func TestProfile_ABurstIsNotWorthAProducer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p profile
		p.next(5, 1000, 1000, false, time.Now())
		require.False(t, p.worthOpening(time.Now()))
		<-time.After(burst)
		p.next(5, 1000, 1000, false, time.Now())
		require.True(t, p.worthOpening(time.Now()))
		p.next(1, 1000, 1000, true, time.Now())
		p.next(5, 1000, 1000, false, time.Now())
		require.False(t, p.worthOpening(time.Now()))
		for range backlogReads {
			p.next(1000, 1000, 1000, false, time.Now())
		}
		require.True(t, p.worthOpening(time.Now()), "a backlog is")
	})
}
