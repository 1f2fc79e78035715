package load

import (
	"math/rand/v2"
	"time"
)

// How a client sends a request again: after a pause that grows to maxPause, less up to half of it,
// so that those who failed together do not come back together.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 2 * time.Second
	// maxRetrying bounds the requests that are sent again at once.
	maxRetrying = 64
)

// mustRetry reports whether a request that was sent for the first time is sent again: every one
// that failed, and a few of those that did not, as a client does whose answer was lost.
func (g *Generator) mustRetry(e Entry) bool {
	if g.cfg.RetryFor == 0 {
		return false
	}
	return e.retryable() || e.Accepted() && g.cfg.RepeatEvery > 0 && e.N%g.cfg.RepeatEvery == 0
}

// retry sends a request with its key until it has an answer.
func (g *Generator) retry(e Entry) {
	repeated := e.Accepted()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		<-time.After(pause - rand.N(pause/2))
		if time.Since(e.Due) > g.cfg.RetryFor {
			break
		}
		e.Attempt++
		g.retrying <- struct{}{}
		g.attempt(&e)
		<-g.retrying
		if !e.retryable() {
			break
		}
	}
	if !repeated {
		g.tally.retried(e)
	}
}
