// Package openloop offers orders to a system at a rate that the system has no say in, and follows
// some of them until they are confirmed.
//
// It does what drills/load does without keeping a ledger, at a fraction of the cost: the bench
// shares its cores with the system that it measures, and net/http's client takes as much of them as
// the Orders service itself. So a worker here owns a connection, writes a request as bytes and reads
// as much of HTTP/1.1 as an answer of that service has.
//
// Latencies count from the moment when a request was due, whether or not it could be sent then
// (coordinated omission does not hide a stall).
package openloop
