package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Where no row is old it is looked for them once per minute; a look that finds some is followed by
// the next as soon as always.
func TestPacing_RetentionLooksSeldomWhereItFindsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, p := time.Now(), newPacing(10*time.Second)
		var looks, after []time.Duration
		for at := time.Duration(0); at < 5*time.Minute; at = time.Since(began) {
			if elapsed, due := p.due(); due {
				looks, after = append(looks, at/time.Second), append(after, elapsed/time.Second)
				p.looked(at == 190*time.Second)
			}
			time.Sleep(time.Second / 2) //nolint:forbidigo // in a synctest bubble
		}
		require.Equal(t, []time.Duration{0, 20, 60, 120, 180, 240}, looks)
		require.Equal(t, []time.Duration{20, 20, 40, 60, 60, 60}, after)
	})
}
