package service

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var sink []byte

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

func TestBallast_SmallHeapIsCollectedSeldom(t *testing.T) { //nolint:paralleltest // it looks at the whole process
	keepBallast()
	defer func() { ballast = nil }()
	runtime.GC()
	before := collections()
	for range 24 << 10 { // 24 MiB in all: it begins to collect before the heap has doubled
		sink = make([]byte, 1<<10)
	}
	require.Equal(t, before, collections())
}
