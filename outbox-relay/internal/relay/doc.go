// Package relay empties outboxes into Kafka: in order per key, at least once, one Source per
// database.
//
// # Leadership
//
// A [Source] connects to its database, stands by until it has the lead, and leads until something
// fails; then it starts again, with pauses of up to two seconds. One process leads each database:
// the one whose session holds an advisory lock (election.go).
//
//	CONNECTING ──▶ STANDBY ──the lock──▶ LEADING ◀──pause, resume──▶ PAUSED
//	    ▲             │                     │                          │
//	    └─────────────┴──────── any error, or another leads ───────────┘
//
// A term is one leadership. It has a number, the epoch, which every write of the leader names, so
// that a leader that was replaced without noticing can change nothing. What it may still send are
// duplicates: see package publish.
//
// # The leader loop
//
// One goroutine owns everything that a term works with: the session, the producers and the sets of
// ids (loop.go). It goes around:
//
//	take answers → look after the producer → send what waits → move the cursor
//	→ ask about stuck rows → read what is new, and send it as it comes → wait if there is nothing to do
//
// Reading does not wait for answers: the next batch is read and sent while the last is in flight.
// Nothing in the loop waits for a broker: acknowledgements, the answers of the prober, and those
// about the rows of refused requests are events on channels. So a round takes as long as its
// statements, and a standby that sees no statement of the leader for seconds may conclude that its
// process is unresponsive.
//
// # What is kept of a row
//
// handled has every id that need not be read again: published, in flight, quarantined, or given up.
// The ids missing below its end are the gaps. A row is
//
//	WAITING ──▶ SENT ──acknowledged──▶ COMPLETED ──▶ in the cursor, in the database
//	   ▲         │ │                       ▲
//	   │         │ └──its request refused──▶ SUSPECT ──found──▶ quarantined as stuck
//	   └─────────┘                                 │
//	the producer has ended                         └──not the bad one──▶ sent by the isolator
//
// A batch stays in memory until its last row is completed. Its rows go to the cursor with one
// UPDATE as far as they are completed in the order in which they were read, and after a second the
// others that are. A row that may not be sent is quarantined: in the table outbox_stuck, and in
// handled.
//
// # Guarantees
//
//   - A committed row is published, however late its commit, as long as its id came from the
//     sequence. Rows that become visible after their id was given up are published late, and
//     counted.
//   - Rows of a key are published in the order of their ids within a snapshot, and of snapshots one
//     after another; also across leaders, producers and refused rows. Copies of rows may follow.
//   - The cursor never has an id whose row was neither acknowledged, nor quarantined, nor given up.
//   - What is in flight is bounded by rows and bytes per database, and by bytes per process.
//   - A topic, key or database that cannot go on costs the others one change of producer at most.
//
// # What happens when
//
//   - The database fails: the term ends, and what is in flight is sent again by the next one. A
//     statement that takes longer than 30 s counts as that.
//   - No broker answers: rows in flight stay with the producer, reading stops when they fill their
//     bounds, and nothing is quarantined. /readyz says so.
//   - A topic's broker takes nothing: its rows are parked when they are in the way of other topics,
//     and released by a probe (flow.go).
//   - A request is refused: the producer ends. An isolator finds the bad row; the rest of the topic
//     waits for it, other topics for the change of producer.
//   - A producer ends for no row's sake: another begins after a pause that doubles up to 2 s.
//   - The process stops: rows in flight are waited for, and what was acknowledged goes to the
//     cursor.
//   - A panic: the term ends like after any error, and other sources go on.
//
// # State machines without I/O
//
//	profile.go     how long the producer lingers, by what reads find
//	lifecycle.go   the lives of producers, the pauses between them, and which rows are sent again
//	gate.go        which rows of a key may be in flight together
//	flow.go        what is in memory of each topic, and which topics are parked
//	quarantine.go  lanes: the rows of a key or a topic that wait together, and their release
//	gaps.go        which missing ids may be given up, and which need not be looked into
//	vacuum.go      for how long the same session has held back vacuum
//	advance.go     when the cursor is moved, and what is accounted for by then
//
// # Around them, in the loop
//
//	loop.go        the loop, and every field of it: what it is and who writes it
//	dispatch.go    from a topic's queue to the producer, and answers back
//	isolate.go     finds the bad rows of a request that was refused as a whole; singly.go: by asking
//	               about each of the last few
//	stuck.go       quarantines rows: as stuck, or parked behind one that is
//	retry.go       asks about stuck rows; release.go: reads parked ones again
//	late.go        publishes rows that came after their ids were given up
//	broker.go      whether brokers answer, and what waits for them
//	read.go        reading, and when to read next, sleep and wake up
//	watch.go       looks at which transactions can still fill gaps
//
// # And beside it, each with a session of its own
//
//	source.go       connecting, leading, and starting again after every failure
//	election.go     the standby
//	maintenance.go  retention, and measuring the backlog and vacuum
//	replay.go       replays, while there are any
//	budget.go       the bound on the memory of all sources of a process
//	status.go       what others may know of a source, under a mutex; metrics.go: the same as metrics
//
// The loop takes no lock while it holds another: status.mu and publish.Clients.mu are held for a
// few assignments each, and the budget is atomic.
package relay
