// Package participant is for services that carry out commands of sagas: a hotel that reserves a
// room, a bank that takes a payment. It does what the saga engine asks of a participant, so that a
// handler has nothing in it but the business.
//
//	hotel, err := participant.New(
//		participant.Config{Consumer: "hotel", DB: pool, Topic: "hotel.v1"},
//		participant.Step{
//			Do: participant.Handle("ReserveRoom", reserveRoom), Done: "RoomReserved", Refused: "RoomRefused",
//			Undo: participant.HandleUndo("ReleaseRoom", releaseRoom), Undone: "RoomReleased",
//		})
//
// Give [Participant.Process] to any Kafka consumer that delivers at least once, in order per key.
//
// # Guarantees
//
//   - Once per saga and step. A saga that has no reply asks again, with a new message. The step is
//     not carried out again.
//   - Answered again. The second command gets the same answer as the first: the same event, with
//     the same id and the same body. What a subscriber has seen it recognises; for the saga it is
//     the reply to its second command.
//   - Undo before do. An undo for something that was not done (its command was lost, was refused,
//     or has been overtaken) is recorded and answered. The command that comes late is refused, and
//     its handler is not called. The undo's handler is called only for what was done.
//   - Together or not at all. What a handler does with its tx, the record of the step, the
//     answer's outbox row and the position in Kafka are committed in one transaction.
//   - A refusal leaves nothing behind. What a handler did before it returns [Refuse] is rolled
//     back, and the answer is the step's Refused with the reason. That holds also after a
//     statement failed: let a constraint refuse, and return what it means.
//   - Any other error is not an answer. Process returns it, nothing of the batch has happened, and
//     the consumer delivers the batch again later. A saga is not undone because a database was
//     down.
//
// They hold for what handlers do in the database through tx. What a handler does elsewhere happens
// as often as it is called.
//
// After the database was restored to an earlier moment, commands are read and carried out again. A
// handler whose answer depends on more than the command can answer differently then, under the same
// event id: consumers that have handled the first answer set the second aside
// ([inbox.ConflictError]), so that a person sees that two services disagree.
//
// # What became of a step
//
// There is a row for each saga and step in the table participant_steps:
//
//	state     | a command that comes               | an undo that comes
//	----------+------------------------------------+----------------------------------------
//	(no row)  | is carried out: DONE or REFUSED    | is recorded: UNDONE
//	DONE      | gets the same answer again         | is carried out: UNDONE
//	REFUSED   | gets the same refusal again        | is recorded: UNDONE
//	UNDONE    | is refused; the same refusal again | gets the same answer again
//
// # Concurrency
//
// Two instances can hold messages of one saga at once, for a moment while partitions move. Existing
// rows are locked in the order of (saga, step) when the batch begins; new rows are inserted in that
// order when it ends, after the handlers. So waits between two batches of the kit cannot form a
// cycle. Where both found no row, the one that inserts first wins. The other waits for its commit
// and then fails with a serialization failure, effects included; delivered again, it finds what the
// first did. Handlers that lock rows of their own in different orders can still deadlock: Postgres
// ends one of them, and it is delivered again.
//
// # Cost
//
// The kit adds one select and one insert to a batch, whatever its size, and no round trip: they
// travel with those of [inbox.Processor]. Each handler that is called costs the round trips of its
// statements.
//
// A batch in which a handler refuses is rolled back and begins again with a savepoint around each
// handler, so its handlers are called twice; their effects are committed once. The next batch
// begins with savepoints, until one has no refusal. A savepoint costs two round trips.
//
// # Other languages
//
// The migration set "participant" has the same contract as SQL functions (participant_begin,
// participant_finish, participant_refuse), for participants that are not written in Go. Tests run
// both through the same histories.
//
// In the code:
//
//	participant.go   what a service fills in, and Process
//	step.go          commands, handlers, refusals
//	decide.go        the table above, pure
//	apply.go         a batch: decide, call handlers, collect answers
//	store.go         the rows
package participant
