// Package runner runs sagas on Postgres: it drives the engine of the package saga with the messages
// of any Kafka client, with deadlines, and with what operators want, and writes each decision in
// one transaction with the commands that it leads to.
//
// A [Runner] is used in one of two ways. The definition is the same in both.
//
//   - Run it: a service of its own reads the topics that start sagas and those with the replies,
//     and gives all of it to [Runner.Process]. The services that begin sagas know nothing of them.
//   - Embed it: the service that begins a saga calls [Runner.Start] in the transaction that writes
//     its own row, gives the replies to Process in its own consumer, and carries out the commands
//     that are its own with [Local]. Fewer messages, fewer hops, one database.
//
// [Runner.Run] acts on deadlines and deletes old sagas, in either way.
//
// # What is guaranteed
//
//   - A message takes effect once, however often it is delivered: its id is in the inbox from the
//     transaction on that applies it.
//   - A state, its transition and the commands that they lead to are written together or not at
//     all. The relay publishes the commands.
//   - Of two processes that decide about one saga at once, one wins; the other's transaction fails
//     with a serialization failure and is tried again on what the first has left.
//   - A deadline is acted on when it has passed by the database's clock, the command that it waits
//     for has left the outbox and, with [Config.Ends], the replies that had come by then have been
//     read.
//   - Any number of processes may run the same sagas on one database. A saga whose definition is
//     not registered in one of them is left to the others.
//
// # When something fails
//
// A message that can never be applied (it cannot be decoded, a function of the definition refuses
// it, it starts a saga that another message has started) becomes a dead letter in the transaction
// of its batch. Any other error fails the whole batch, which is safe to try again: the database may
// be unavailable. A batch that keeps failing is for the caller to take apart, and [Runner.Reject]
// for the message at fault; the consumer of chassis/kafka does both. Deadlines and retention log
// their problems and try again.
//
// # In the code
//
//	runner.go       what a runner needs, and New
//	codec.go        Kafka messages and those of the engine; CloudEvents is the default
//	process.go      a batch of messages
//	start.go        sagas that begin in a transaction of the caller
//	intervene.go    what operators want of one saga; preview.go: what that would lead to
//	suspend.go      what they want of all of a definition
//	event.go        events that do not come from Kafka
//	deadlines.go    deadlines that have passed
//	application.go  what all of these share: inputs, decisions, and what has to be written
//	local.go        commands that are carried out here
//	watermark.go    up to when replies have been read
//	run.go, loop.go the work that no message brings about
//
// The package store has the tables; inspect answers questions about sagas.
package runner
