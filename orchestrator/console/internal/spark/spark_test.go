package spark_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/orchestrator/console/internal/spark"
)

func TestBars_AnythingCanBeSeen(t *testing.T) {
	t.Parallel()
	drawn := string(spark.Bars([]int64{0, 1, math.MaxInt64}, `a "label"`, func(int) string { return "<b>" }))
	require.Equal(t, 3, strings.Count(drawn, "<rect"))
	require.Contains(t, drawn, `class="none"`)
	require.Contains(t, drawn, `height="3"`)
	require.Contains(t, drawn, `height="24"`)
	require.Contains(t, drawn, "a &#34;label&#34;")
	require.Contains(t, drawn, "1, &lt;b&gt;")
	require.Empty(t, spark.Bars(nil, "", nil))
}

func TestFit_KeepsTheHighest(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int64{1, 2}, spark.Fit([]int64{1, 2}, 3))
	require.Equal(t, []int64{9, 4}, spark.Fit([]int64{1, 9, 2, 4, 0, 3}, 2))
}
