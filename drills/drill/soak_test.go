package drill

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The soak has to tell a leak from noise.
func TestCourse_FindsWhatGrowsAndNothingElse(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		value func(i int) float64
		grows bool
	}{
		"flat":                         {func(int) float64 { return 60 }, false},
		"noise of a garbage collector": {func(int) float64 { return 60 + 30*random.Float64() }, false},
		"it warms up, and stays":       {func(i int) float64 { return min(80, 40+float64(i)) }, false},
		"one peak":                     {func(i int) float64 { return map[bool]float64{true: 500}[i == 180] + 60 }, false},
		"a leak":                       {func(i int) float64 { return 60 + float64(i)/5 }, true},
		"a leak in noise":              {func(i int) float64 { return 60 + float64(i)/5 + 10*random.Float64() }, true},
	} {
		seen := &course{name: name, unit: "MiB", bound: memoryBound(time.Hour)}
		for i := range 200 {
			seen.values = append(seen.values, c.value(i))
		}
		require.Equal(t, c.grows, seen.grown() > seen.allowed(), "%s", seen)
	}
}

// In a run of a minute garbage gathers, which is no leak; one that would take all memory is found.
func TestCourse_AllowsAShortRunItsGarbage(t *testing.T) {
	t.Parallel()
	for growth, leaks := range map[float64]bool{17: false, 48: false, 80: true} {
		seen := &course{name: "memory", unit: "MiB", bound: memoryBound(time.Minute)}
		for i := range 200 {
			seen.values = append(seen.values, 90+growth*float64(i)/100)
		}
		require.Equal(t, leaks, seen.grown() > seen.allowed(), "%s", seen)
	}
}
