// Package kafka connects a service to Kafka through librdkafka (confluent-kafka-go): settings from
// the environment, a [Consumer] that hands over messages in batches and never loses one, and the
// settings of a producer that keeps order.
//
// A broker that is unavailable, at start-up or later, is waited for and reported, never fatal.
//
// # What happens to a batch that fails
//
// A message pays only for what is wrong with it. [ConsumerOptions].Classify says whose fault an error
// is (see package fault):
//
//	outage      nothing can be done at the moment   all partitions are paused, and the batch is tried
//	                                                again until it goes through
//	conflict    another transaction was faster      at once, twice; then like statement
//	statement   the database refuses a statement    the batch is halved down to single messages; one
//	            (a lock, a grant, a trigger)        that fails alone is held, and tried until it goes
//	                                                through
//	message     the message itself                  likewise, but after three failures alone it is set
//	                                                aside: Handler.Reject makes a dead letter of it
//
// A conflict that hits one message eight times is no race, and counts as the message's fault. A panic
// of the handler does so from the first.
//
// A message that is held holds back later messages of its key, and no others: those of other keys are
// applied, also in its own partition. So the offset that is committed, and the position that the
// service keeps ([inbox.Delivery].Resume), stays at the first message that is held. After a restart
// everything behind it is read again, and the handler's inbox has to know what was applied. How much
// that may be is bounded; at the bound, the partition is paused.
//
// When five different messages of a type fail alike, with none between them that succeeds, it is not
// the messages: that type is suspended. None of them is set aside, and one at a time is tried, until
// one succeeds.
//
// # Files
//
//	consumer.go   the loop: poll, collect, events of the client, rebalances
//	process.go    one batch: attempts, taking apart, offsets
//	held.go       messages that wait: retries, setting aside, going on
//	backlog.go    the data of that: sequences of keys, breakers
//	positions.go  where a partition that was assigned starts
//	restart.go    a topic that was deleted and made again
//	pause.go      why a partition is paused
//	status.go     what others may know: readiness, log lines
//	metrics.go    and metrics
package kafka
