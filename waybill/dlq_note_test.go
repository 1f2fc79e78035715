package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSparkline_ScalesToTheHighestCount(t *testing.T) {
	t.Parallel()
	require.Equal(t, "·▁▄█·", sparkline([]int64{0, 1, 50, 100, 0}))
	require.Equal(t, "···", sparkline([]int64{0, 0, 0}))
	require.Equal(t, "█", sparkline([]int64{1}))
	require.Empty(t, sparkline(nil))
}
