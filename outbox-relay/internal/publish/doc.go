// Package publish hands outbox rows to Kafka so that the order of a key survives everything.
//
// # A refused row is not overtaken
//
// The broker may refuse a row for good (too large, not authorised, an invalid record) while later rows of its key
// are on their way. Three settings of librdkafka together stop them:
//
//   - max.in.flight=1: a connection carries one request at a time, so nothing of the partition is under way behind
//     the request that is being refused. (Relying on the broker to reject what follows by its sequence number is not
//     enough: a broker that knows nothing yet of this producer takes any number as the first.)
//   - enable.gapless.guarantee: the refusal ends the producer (a fatal error) before it sends its next request,
//     where it would otherwise go on behind the gap.
//   - message.timeout.ms=0: nothing fails merely for being late, so a broker that is away causes no gap.
//
// What was not acknowledged is then sent again by a new producer, in order. A request is refused as a whole: its rows go
// through further producers, in smaller and smaller parts, and the last few alone through a Prober, to find which is at
// fault.
//
// # What a dead producer left on the wire
//
// A request of an earlier producer, or of an earlier leader that was frozen, may reach the broker late, after newer
// rows of the same key. It can only be a duplicate. Every producer sends, for each key, an unbroken run of the rows
// that were not acknowledged when it began, no row before another whose effect its writer had seen. So when any
// producer's copy of a row is the first on the topic, the rows that it has to follow have been acknowledged earlier or
// were sent before it by that same producer. A consumer that drops event ids it has seen therefore sees each key in
// order.
package publish
