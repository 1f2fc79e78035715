// Package inbox makes a consumer's effects happen once, though Kafka delivers at least once, and
// though the database with the effects may be restored to an earlier moment.
//
// A consumer records the id of each message in the transaction that applies its effect
// ([Accept]). A message that comes again finds its id and is skipped; a transaction that fails
// takes its ids back with it. With the id it keeps a digest, so that another message under the same
// id is told apart ([ConflictError]). What can never be applied is set aside with [DeadLetter], through
// the consumer's own outbox in that same transaction, so that it is not lost even if Kafka goes away at
// that moment. How far the consumer has read is stored in that transaction, too ([Positions]).
//
// [Processor] puts these together for a whole batch. In the code:
//
//	processor.go   what a consumer fills in, and Process
//	work.go        one attempt at one batch: begin and load, apply, commit
//	reject.go      a single message that has to be set aside, with the fallbacks
//	accept.go      the inbox's rows
//	conflict.go    messages that are not new: the same again, or another one?
//	positions.go   where reading goes on
//	delivery.go    a message as it came, and the id that its position gives it
//	deadletter.go  what a dead letter keeps
//
// The pattern is known as Idempotent Consumer
// (https://microservices.io/patterns/communication-style/idempotent-consumer.html).
package inbox
