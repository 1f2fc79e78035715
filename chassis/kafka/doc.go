// Package kafka connects a service to Kafka through librdkafka (confluent-kafka-go): settings from
// the environment, a [Consumer] that dispatches messages in batches and never loses one, and the
// settings of a producer that keeps order.
//
// A broker that is unavailable, at start-up or later, is waited for and reported, never fatal.
//
// # The loop
//
// One goroutine, the caller of [Consumer.Run], does all of it. librdkafka calls back about
// rebalances from within Poll only, so no batch is in progress elsewhere when partitions are taken
// away:
//
//	startUnpositioned partitions whose position could not be read when they were assigned
//	retryHeld         held messages that are due: for a fourth of the time that the last batch took,
//	                  and one at least
//	collect           Poll until a batch is full or nothing more has arrived; where many come, some ms
//	                  after the last batch began (package pace)
//	process           the handler applies the batch, in one transaction
//	done              offsets are marked; librdkafka commits the marks every second
//	flush             with nothing to do: positions that lag are written
//
// # A partition
//
//	            assigned                      position read
//	(not ours) ─────────→ paused, unpositioned ────────────→ read ──→ paused, full: too many held
//	    ↑                        ↑                            │ ↑          │
//	    │                        └─ the database went back ───┤ └──────────┘
//	    └───────────────────────────────── revoked ───────────┘
//
// It is read from the smaller of Kafka's committed offset and the position that the service stores
// with its effects ([inbox.Positions]); never before both are known. During an outage all
// partitions are paused. When a partition is revoked its messages are dropped wherever they are,
// those that are held included: its next owner reads them again.
//
// # A message
//
//	received → in a batch → applied
//	                └ fails alone → held ⇄ retried → applied
//	                                    └ exhausted → set aside, as a dead letter
//
// A message pays only for what is wrong with it. [ConsumerOptions].Classify says whose fault an
// error is (see package fault):
//
//	outage      nothing can be done at the moment   all partitions are paused, and the batch is retried
//	                                                until it goes through
//	conflict    another transaction was faster      retried at once, twice; then like statement
//	statement   the database refuses a statement    the batch is halved down to single messages; one
//	            (a lock, a grant, a trigger)        that fails alone is held, and retried until it goes
//	                                                through
//	message     the message itself                  likewise, but after three failures alone it is set
//	                                                aside: Handler.Reject makes a dead letter of it
//
// A conflict that hits one message eight times is no race, and counts as the message's fault. A
// panic of the handler does so from the first.
//
// A message that is held holds back later messages of its key, and no others: those of other keys
// are applied, also in its own partition. So the offset that is committed, and the position that
// the service stores ([inbox.Delivery].Resume), stay at the first message that is held. After a
// restart everything behind it is read again, and the handler's inbox has to know what was applied.
// How much that may be is bounded; at the bound, the partition is paused.
//
// When five different messages of a type fail alike, with none between them that succeeds, it is
// not the messages: that type is suspended. None of them is set aside, and one at a time is
// retried, until one succeeds.
//
// # Guarantees
//
//   - At least once: an offset is marked for Kafka after its batch is durable and the position in
//     the database has passed it. So only a database that went back is behind Kafka.
//   - Order per key within a partition, also for what follows a message that is held.
//   - No wait without a bound: an attempt ends after 30 s, and leaving the group after 10 s. Poll
//     is called about once per second while a batch is taken apart.
//   - What keeps the consumer from its work is in [Consumer.Ready], in metrics, and in one log line
//     when it begins and one when it ends.
//
// # Failures
//
//	the process dies                   the group gives its partitions to others after 6 s
//	the process is frozen              likewise; when it goes on, its batch is rolled back or a duplicate,
//	                                   and its position is refused
//	the broker is unavailable          what has arrived is applied; Poll waits
//	the database is unavailable        an outage: waited for, in the group
//	the database goes back             [inbox.Rewound]: everything is read again from its positions
//	a topic is deleted and made again  offsets begin again, and those of before are forgotten
//	a fatal client error               Run returns it: another process has the same group.instance.id
//
// # Files
//
//	consumer.go   the loop: poll, collect, events of the client, rebalances
//	process.go    one batch: attempts, taking apart, offsets
//	held.go       messages that wait: retries, setting aside, going on
//	backlog.go    the data of that: sequences of keys, breakers
//	positions.go  where a partition that was assigned starts; flushing positions, marking offsets
//	restart.go    a topic that was deleted and made again
//	pause.go      why a partition is paused
//	message.go    a message of the client's as an inbox.Delivery
//	ends.go       where partitions end, for those who have to know that all was read
//	status.go     what others may know: readiness, log lines
//	metrics.go    and metrics
//	check.go      whether a broker answers
//	config.go     settings; properties.go, those that a promise rests on
//	logs.go       librdkafka's log lines
package kafka
