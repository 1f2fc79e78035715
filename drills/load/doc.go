// Package load places orders at a constant rate, whatever becomes of them, and keeps the client's
// own record of each.
//
// The load is open-loop: the n-th request is due at a fixed moment, and its latency counts from that
// moment. A system that stalls for a second does not get a second off; every request that was due
// meanwhile is measured with the time that a client would have waited (the "coordinated omission"
// that closed-loop generators leave out).
//
// The record is a [Ledger]: one JSON line for each request, with what was asked, what was answered
// and when. The audit holds the databases against it, so that the system under test is not its own
// witness.
package load
