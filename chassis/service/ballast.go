package service

// ballastBytes is how much the heap may grow at least between two collections.
const ballastBytes = 48 << 20

// ballast is there for its size.
var ballast []byte

// keepBallast makes the heap 48 MiB larger in the collector's eyes. The memory is not the system's:
// nobody writes to it, and what Go's runtime has written, which clears memory that had been in use
// before, is given back. The cost is the garbage that gathers in the meantime, at most 48 MiB.
//
// Go collects whenever the heap has doubled. A small service keeps some ten megabytes alive and
// allocates a hundred per second under load, so that is every tenth of a second, and each time the
// stacks of waiting connections shrink, and grow again with the next request. GOGC=400 would help,
// and would let a service with a backlog in memory (the relay while its broker is down) use five
// times of it. A minimum heap size is what is wanted (golang/go#23044), and gopls keeps a ballast
// for the same reason (golang.org/x/tools, CL 608796). GOGC and GOMEMLIMIT work as before;
// GC_BALLAST=false turns it off.
func keepBallast() {
	ballast = make([]byte, ballastBytes)
	giveBack(ballast)
}
