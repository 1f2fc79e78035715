package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTicks_AreRoundAndReachFarEnough(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64][2]string{0: {"1", "1"}, 7: {"2", "8"}, 97: {"50", "100"}, 1234: {"500", "1.5k"}} {
		step, end := ticks(most)
		require.Equal(t, want, [2]string{number(step), number(end)}, most)
	}
}
