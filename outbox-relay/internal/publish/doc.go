// Package publish hands outbox rows to Kafka so that the order of a key survives everything.
//
// # A refused row is not overtaken
//
// The broker may refuse a row for good (too large, not authorised, an invalid record) while later
// rows of its key are on their way. Three settings of librdkafka stop them:
//
//   - max.in.flight=1: a connection carries one request at a time, so nothing of the partition is
//     under way behind the request that is being refused.
//   - enable.gapless.guarantee: the refusal ends the producer (a fatal error), where it would
//     otherwise go on behind the gap.
//   - message.timeout.ms=0: nothing fails merely for being late, so a broker that is unavailable
//     causes no gap.
//
// They leave one request: librdkafka makes the next one while one is in flight, and sends it even
// if the answer ends the producer. The broker rejects that by its sequence number if it has taken a
// row of the partition from this producer before. If it has not, it takes any number as the first;
// so the caller keeps rows of one key apart until then (relay/gate.go).
//
// What was not acknowledged is sent again by a new producer, in order. A request is refused as a
// whole: its rows go through further producers, in smaller and smaller parts, and the last few
// alone through a Prober, to find the bad one.
//
// # Late requests of a producer that has ended
//
// A request of an earlier producer, or of an earlier leader that was unresponsive, may reach the
// broker late, after newer rows of the same key. It can only be a duplicate. Every producer sends,
// for each key, an unbroken run of the rows that were not acknowledged when it began, no row before
// another whose effect its writer had seen. So when any producer's copy of a row is the first on
// the topic, the rows that it has to follow have been acknowledged earlier or were sent before it
// by that same producer. A consumer that drops event ids it has seen therefore sees each key in
// order.
//
// # Files
//
//	clients.go    the clients that the sources of a process share, and who shares them
//	shared.go     a producer that several databases send with
//	producer.go   a producer, of one database's own or shared, and its settings
//	client.go     the client of librdkafka behind both
//	prober.go     questions about topics and single rows, answered on a channel
//	permanent.go  which errors sending again will not change
//	headers.go    a row's headers, as CloudEvents in Kafka's binary mode
//
// Clients.mu guards which clients are shared and by whom. Nothing is called with it held but the
// opening of a client and sends to channels that do not wait.
package publish
