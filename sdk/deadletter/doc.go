// Package deadletter is the dead letters of consumers, in the database that set them aside, and
// what an operator can do about them.
//
// A consumer that cannot apply a message writes it here, in the transaction that settles the
// message's batch (package inbox does that). Where the order of a key matters, later messages of
// that topic and key go to the same queue and wait: they are parked.
//
// # A message
//
//	          ┌──────── Redrive ────────┐
//	          ↓                         │
//	─────→ parked ── fails again ────→ dead ←── set aside ── (delivered)
//	          │                         │
//	          ├─ applied ─→ redriven    ├─ Discard ─→ discarded
//	          ├─ Discard ─→ discarded   └─ Edit ────→ superseded, by a copy that is dead
//	          └─ Edit ────→ superseded, by a copy that is parked
//
// What an operator redrives is parked again, at the place that it has, and applied when it is the
// first: see [inbox.Redriver]. Nothing but [Next] says what may become what.
//
// # A queue
//
// A queue is the open messages (dead or parked) of one consumer, topic and key, ordered by place,
// and one row in parked_keys. A queue whose first message is dead waits for an operator; one whose
// first is parked is worked off, message by message. Everybody who adds to a queue or takes from it
// holds the lock on its row, which is deleted with its last message. So a delivery finds the row,
// and goes to the end of the queue, or it finds none, and everything before it has been applied and
// committed: nothing overtakes at the hand-over.
//
// [inbox.Redriver]: https://pkg.go.dev/waybill.example/sdk/inbox#Redriver
package deadletter
