// Package relay empties outboxes: one Source a database, which waits for the lead, and while it leads runs a term.
//
// # A term
//
// A term is one goroutine that owns everything it works with: the database session, the producer, and the sets of
// ids. It goes around one loop:
//
//	take the broker's answers → move the cursor → read what is new and hand it to the producer → wait if there is
//	nothing to do
//
// Reading does not wait for answers, so the next batch is read and produced while the last is in flight; within a
// batch, rows go to the producer as they come from the wire, while Postgres is still reading. What is in flight is
// bounded in rows and bytes, and so is memory while the broker is away.
//
// taken is every id that need not be read again: published, in flight, or set aside. The ids missing below its end
// are the holes. A batch stays whole until its last row is settled; then its ids go to the cursor with one UPDATE.
package relay
