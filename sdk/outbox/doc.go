// Package outbox writes messages into a transactional outbox: a row in the sender's own database,
// in the transaction that makes the change which the message reports. Either both are committed or
// neither is, so no message is lost and none reports a change that never happened. A relay, a
// process of its own, carries committed rows to Kafka in order.
//
// [Append] works on any [pgx.Tx]. The table comes from the migration set "outbox"; it can be
// installed beside the tables of any service. The other end of the wire, which makes a message
// take effect once however often it is delivered, is the package inbox.
//
// The pattern is Chris Richardson's Transactional Outbox
// (https://microservices.io/patterns/data/transactional-outbox.html).
package outbox
