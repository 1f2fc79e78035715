// Package gc spares a small service most of its garbage collections.
//
// Go collects whenever the heap has doubled. A service of ours keeps some ten megabytes alive and
// allocates a hundred a second under load, so that is every tenth of a second, and each time the
// stacks of the waiting connections are shrunk, to be grown again by the next request. GOGC=400 would
// help, and would let a service with a backlog in memory (the relay, while its broker is away) take
// five times of it.
package gc

// size is what the heap may grow by at least between two collections.
const size = 48 << 20

var ballast []byte //nolint:unused // it is there for its size

// Ballast makes the heap 48 MiB larger in the collector's eyes. The memory is never touched, so the
// system does not provide it; what it costs is the garbage that gathers meanwhile, 48 MiB at most.
// GOGC and GOMEMLIMIT work as ever. Call it first, once.
func Ballast() { ballast = make([]byte, size) }
