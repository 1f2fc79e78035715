package drill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/drills/drill"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEveryDrillSaysWhatItPromisesAndEnds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var all, short time.Duration
	const around = 30 * time.Second // start, warm-up, recovery and audit
	for _, d := range drill.All() {
		require.Regexp(t, `^[a-z]+(-[a-z0-9]+)*$`, d.Name)
		require.False(t, seen[d.Name], d.Name)
		seen[d.Name] = true
		require.NotEmpty(t, d.Promise, d.Name)
		require.NotNil(t, d.Break, d.Name)
		require.Positive(t, d.For, d.Name)
		all += d.For + around
		if d.Brief > 0 {
			require.LessOrEqual(t, d.Brief, d.For, d.Name)
			short += d.Brief + around
		}
		found, ok := drill.ByName(d.Name)
		require.True(t, ok)
		require.Equal(t, d.Promise, found.Promise)
	}
	require.LessOrEqual(t, all, 40*time.Minute)
	require.LessOrEqual(t, short, 7*time.Minute)
	_, ok := drill.ByName("nonsense")
	require.False(t, ok)
}
