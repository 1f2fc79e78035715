package paired_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/bench/internal/paired"
)

func TestMedian_OfAnEvenNumberIsTheMeanOfTheMiddleTwo(t *testing.T) {
	t.Parallel()
	require.Zero(t, paired.Median(nil))
	require.InDelta(t, 2, paired.Median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, paired.Median([]float64{4, 1, 3, 2}), 0)
}

// A machine that halves its speed between two turns changes both figures of the later turn.
func TestRatio_DoesNotDependOnTheMachinesSpeed(t *testing.T) {
	t.Parallel()
	f := paired.Figure{Base: []float64{100, 200, 100}, Head: []float64{90, 180, 90}}
	require.Equal(t, paired.Ratio{Median: 0.9, Lowest: 0.9, Highest: 0.9, Turns: 3}, f.Ratio())
}

func TestRatio_OneDisturbedTurnDoesNotMoveTheMedian(t *testing.T) {
	t.Parallel()
	f := paired.Figure{Base: []float64{100, 100, 100, 100, 0}, Head: []float64{101, 99, 100, 900, 5}}
	r := f.Ratio()
	require.InDelta(t, 1.005, r.Median, 1e-9)
	require.InDelta(t, 9, r.Highest, 1e-9)
	require.Equal(t, 4, r.Turns, "a turn whose base measured nothing has no ratio")
}

func TestTable_KeepsFiguresInTheirOrder(t *testing.T) {
	t.Parallel()
	var table paired.Table
	table.Add("cpu", "us", 10, 5)
	table.Add("wal", "bytes", 1, 1)
	table.Add("cpu", "us", 10, 6)
	require.Len(t, table.Figures(), 2)
	require.Equal(t, "cpu", table.Figures()[0].Name)
	require.Contains(t, table.Figures()[0].String(), "0.550  (0.500 to 0.600 in 2 turns)")
}
