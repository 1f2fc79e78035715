//go:build !linux

package load

import "time"

func sleepExactly(t time.Time) { time.Sleep(time.Until(t)) }
