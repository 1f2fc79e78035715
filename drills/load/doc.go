// Package load places orders at a constant rate, whatever becomes of them, and measures what a
// client would have waited. It is the load of the drills, which keep a record of each request, and
// of the bench, which does not.
//
// The load is open-loop: the n-th request is due at a fixed moment, and its latency counts from
// that moment. A system that stalls for a second does not get a second off; every request that was
// due meanwhile is measured with the time that a client would have waited (the "coordinated
// omission" that closed-loop generators leave out).
//
// The record is a [Ledger]: one JSON line for each request, with what was asked, what was answered
// and when. The audit holds the databases against it, so that the system under test is not its own
// witness.
//
// HTTP is fasthttp's: the generator shares its cores with the system that it measures, and
// net/http's client takes as much of them as the Orders service itself.
package load
