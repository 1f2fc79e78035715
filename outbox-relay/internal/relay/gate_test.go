package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGate_HoldsBackTheSecondRowOfAKeyUntilItsPartitionHasTakenOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := gate{partitions: 2}
		a, b, c := []byte("a"), []byte("b"), []byte("c")
		require.False(t, g.waits(a, time.Now()))
		g.sent(a, time.Now())
		require.True(t, g.waits(a, time.Now()))
		require.False(t, g.waits(b, time.Now()), "keys may overtake each other")
		require.False(t, g.waits(nil, time.Now()), "rows without a key have no order")
		g.sent(b, time.Now())

		g.took(a, 0, time.Now())
		require.False(t, g.waits(a, time.Now()))
		g.sent(a, time.Now())
		require.False(t, g.waits(a, time.Now()), "its partition has taken a row")
		require.True(t, g.waits(b, time.Now()), "the partition of b may be the other one")
		g.took(b, 1, time.Now())
		g.sent(c, time.Now())
		require.False(t, g.waits(c, time.Now()), "all partitions have taken rows")

		<-time.After(knownFor / 2)
		g.took(a, 0, time.Now())
		<-time.After(knownFor / 2)
		g.sent(a, time.Now())
		g.sent(b, time.Now())
		require.True(t, g.waits(b, time.Now()), "the broker may have forgotten the producer on partition 1")
		g.took(a, 0, time.Now())
		g.sent(a, time.Now())
		require.False(t, g.waits(a, time.Now()), "and not on partition 0")
		g.took(b, 1, time.Now())
		require.False(t, g.waits(b, time.Now()))

		g.renew()
		g.sent(a, time.Now())
		require.True(t, g.waits(a, time.Now()), "the next producer is unknown")
	})
}

func TestGate_LearnsOfPartitionsThatAreNew(t *testing.T) {
	t.Parallel()
	now := time.Now()
	g := gate{partitions: 1}
	g.took(nil, 3, now)
	g.sent([]byte("a"), now)
	require.True(t, g.waits([]byte("a"), now), "partitions 0 to 2 have taken nothing")
}
