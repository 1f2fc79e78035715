package load

import (
	"syscall"
	"time"
)

// sleepExactly is exact to some 0.1 ms. Go's own timers wait in whole milliseconds, which is a good
// part of the latencies that are measured here; this takes a thread instead.
func sleepExactly(t time.Time) {
	if left := time.Until(t); left > 0 {
		wait := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&wait, nil) // woken early: what is due is sent, what is not is slept for
	}
}
