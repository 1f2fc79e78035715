package inbox

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A consumer without queues asks the database every five seconds, and each second while there is
// something to work off.
func TestRedriver_LooksSeldomWhileThereIsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 24*time.Second)
		defer stop()
		began := time.Now()
		var looks []int
		lookForQueues(ctx, func() bool {
			at := int(time.Since(began) / time.Second)
			looks = append(looks, at)
			return at == 17 || at == 18
		})
		if want := []int{1, 3, 7, 12, 17, 18, 19, 21}; !slices.Equal(looks, want) {
			t.Errorf("it looked after %v seconds, want %v", looks, want)
		}
	})
}
