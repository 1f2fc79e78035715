package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMoves_OfTheCursorTakeATwentiethOfTheTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		took         [2]time.Duration
		acknowledged int
		urgent       bool
		want         time.Duration
	}{
		"nothing yet":            {want: advanceEvery},
		"both are fast":          {took: [2]time.Duration{time.Millisecond, time.Millisecond}, want: advanceEvery},
		"both are slow":          {took: [2]time.Duration{20 * time.Millisecond, 30 * time.Millisecond}, want: 400 * time.Millisecond},
		"one was interrupted":    {took: [2]time.Duration{time.Millisecond, time.Second}, want: advanceEvery},
		"the one before it was":  {took: [2]time.Duration{time.Second, time.Millisecond}, want: advanceEvery},
		"very slow":              {took: [2]time.Duration{time.Second, time.Second}, want: longestAdvance},
		"many rows":              {took: [2]time.Duration{time.Millisecond, time.Millisecond}, acknowledged: markRows, want: 4 * time.Millisecond},
		"many rows, slow moves":  {took: [2]time.Duration{time.Second, time.Second}, acknowledged: markRows, want: longestAdvance},
		"rows are stuck":         {took: [2]time.Duration{time.Millisecond, time.Millisecond}, urgent: true, want: advanceSoon},
		"rows are stuck, slowly": {took: [2]time.Duration{time.Second, time.Second}, urgent: true, want: advanceSoon},
	} {
		m := moves{began: time.Now(), acknowledged: c.acknowledged, took: c.took}
		require.Equal(t, c.want, m.next(c.urgent).Sub(m.began), name)
	}
}
