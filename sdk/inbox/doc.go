// Package inbox makes a consumer's effects happen once, though Kafka delivers at least once, and
// though the database with the effects may be restored to an earlier moment.
//
// [Processor] applies a batch of messages in one transaction. A message that comes again is found
// in the inbox and skipped; what it causes goes to the outbox of the same transaction; what can
// never be applied becomes a dead letter there. The pattern is known as Idempotent Consumer
// (https://microservices.io/patterns/communication-style/idempotent-consumer.html).
//
// # What becomes of a message
//
//	                    ┌─ ErrSkip ────────────────────────────→ skipped: not recorded
//	Delivery ─ Decode ──┼─ error ──────────────────────────────→ dead letter, under its PositionID
//	                    └─ message ─ inbox ┬─ new ─ Apply ┬────→ applied
//	                                       │              └────→ dead letter (Tx.Reject), forgotten
//	                                       ├─ same digest ─────→ duplicate: nothing happens
//	                                       └─ another digest ──→ conflict: dead letter
//
// [Outcome] counts each of these after the commit. An error of Apply or the database rolls the
// whole batch back, and the caller decides what to do: try again, take the batch apart, or set one
// message aside with [Processor.Reject].
//
// # One transaction
//
// Two round trips, however many messages the batch has, and those that Apply makes:
//
//	1  begin · positions, where it is time · inbox insert · what Load has queued
//	   Apply decides on what Load read
//	2  what Apply left in Tx.Last · outbox insert · commit
//
// A batch with duplicates takes one more, to tell them from conflicts; so does one with messages
// that Apply refuses.
//
// # Guarantees
//
//   - An effect is applied once per event id and consumer, for as long as the inbox has the id: the
//     relay sweeps its rows after RELAY_INBOX_RETENTION. Where two processes have the same message
//     for a moment, one of them applies it.
//   - A message, its effects and the messages that it causes are committed together or not at all.
//     A function passed to AfterCommit is not called where the process dies in between.
//   - A dead letter is made once per delivery, and can always be stored ([DeadLetter]). Sent again
//     after the reason is gone, a message that Apply had refused takes effect.
//   - Another message under a used event id is noticed ([ConflictError]), and the first one keeps
//     its effect.
//
// # Positions, and a database that goes back
//
// [Positions] are stored in the database of the effects: a consumer that starts at the smaller of
// its position and Kafka's committed offset reads again what the database lost. A stored position
// is never ahead of the effects, and may lag behind them ([Positions.Defer]): then messages are
// read again, and the inbox recognises them.
//
// A database that goes back under a running consumer is noticed with the next batch, before its
// first effect: the position that this process wrote last must still be there, and while positions
// lag, so must a message of its last batch, in the inbox. What a database loses is the end of its
// log, so one that has the last batch has all before it. Where that is missing, the batch fails
// with an error that [Rewound] recognises: the database was restored, or failed over to a standby
// that lacked something. The consumer then reads its positions again and goes on from there.
//
// A position that another process wrote meanwhile is not taken back: a process that was frozen, and
// whose partitions went to another, fails in the same way with its next write.
//
// # Failures
//
//	the process dies in a batch        rolled back; Kafka delivers it again
//	it dies after the commit           delivered again, all duplicates
//	the answer to a commit is lost     retried, all duplicates
//	the database is unavailable        Process returns an error; nothing happened
//	the database went back             Rewound; read again from its positions
//	a message fails again and again    the caller sets it aside with Reject
//	its dead letter cannot be stored   a bare one, then none: dropped, counted, and Health says so
//
// # Files
//
//	processor.go   what a consumer fills in, and Process
//	attempt.go     one attempt at one batch: begin and load, apply, commit
//	reject.go      a single message that has to be set aside, with the fallbacks
//	accept.go      which messages are new: the inbox's rows; insert.go, the statements
//	digest.go      what must be the same whenever a message comes under one id
//	conflict.go    messages that are not new: the same again, or another one?
//	positions.go   where reading goes on, and what shows that the database went back
//	flush.go       positions that lag
//	delivery.go    a message as it came, and the id that its position gives it
//	deadletter.go  what a dead letter contains
//	health.go      whether messages were dropped
package inbox
