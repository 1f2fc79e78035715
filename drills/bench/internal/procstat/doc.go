// Package procstat reads what processes use, from outside: CPU time and memory.
package procstat

import "time"

// Usage is what a process and those of its children that live have used, and what it holds.
type Usage struct {
	// CPU is user and system time since the process began. Children that have ended and were waited
	// for are in it, so that the sum of a Postgres server only grows.
	CPU time.Duration
	// Memory is the resident set of the process itself, in bytes.
	Memory int64
}
