// Package inbox makes a consumer's effects happen once, though Kafka delivers at least once.
//
// A consumer records the id of each message in the transaction that applies its effect
// ([Accept]). A message that comes again finds its id and is skipped; a transaction that fails
// takes its ids back with it. What can never be applied is set aside with [DeadLetter], through the
// consumer's own outbox in that same transaction, so that it is not lost even if Kafka goes away at
// that moment.
//
// [Processor] puts the two together for a whole batch.
//
// The pattern is known as Idempotent Consumer
// (https://microservices.io/patterns/communication-style/idempotent-consumer.html).
package inbox
