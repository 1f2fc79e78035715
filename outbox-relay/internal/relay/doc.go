// Package relay empties outboxes: one Source per database, which waits for the lead, and while it leads runs a term.
//
// # A term
//
// A term is one goroutine that owns everything it works with: the database session, the producers, and the sets of
// ids. It goes around one loop (term.go):
//
//	take answers → tend the producer → send what waits → move the cursor → look after what is set aside → read what is
//	new and hand it to the producer → wait if there is nothing to do
//
// Reading does not wait for answers, so the next batch is read and produced while the last is in flight; within a
// batch, rows go to the producer as they come from the wire, while Postgres is still reading. What is in flight is
// bounded in rows and bytes, and so is memory while the broker is unavailable.
//
// Nothing in the loop waits for a broker: acknowledgements, the answers of the prober, and those about refused requests are
// events. So a round takes as long as its statements, and a standby that sees no statement for seconds may conclude that
// the process is frozen.
//
// taken is every id that need not be read again: published, in flight, or set aside. The ids missing below its end
// are the gaps. A batch stays in memory until its last row is settled; what is settled of it goes to the cursor with one
// UPDATE, when it is complete or once per second.
//
// # Where things are
//
// State machines without I/O, tested by themselves:
//
//	quarantine.go  which rows park: lanes of a topic and key, or of a whole topic, and their release
//	flow.go        what is in memory of each topic, and which topics are parked because they are in the way of others
//	life.go        the producer's lives, the pauses between them, and which rows are sent again
//	gaps.go        which missing ids may be given up
//
// Around them, on the term:
//
//	dispatch.go    from a topic's queue to the producer, and answers back
//	isolate.go     finds the bad rows in a request that was refused as a whole
//	aside.go       makes rows stuck, or parks them
//	retry.go       asks about stuck rows, and reads parked ones again
//	broker.go      whether brokers answer, and what waits for them
//	read.go        reading, and when to read next, sleep and wake up
//	pace.go        which of three linger profiles to produce with
//
// And beside it:
//
//	source.go      connecting, leading, and starting again after every failure
//	election.go    the standby
//	maintenance.go      retention and the measurements of the backlog; replay.go: replays; both over sessions of their own
//	budget.go      the bound on the memory of all sources of a process
package relay
