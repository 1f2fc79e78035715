// Package audit cross-checks the databases, the topics and the client's own ledger, and
// names everything that one of them says and another does not.
//
// It reads and never writes. Each check has a name, a promise in one sentence, and findings; each
// finding proposes the exact command that would repair it, and leaves the decision to a person.
//
// An [Auditor] works in passes. The first looks at everything; each later one at what has come
// since and at what was still open, so that it can run beside a live system (see [Watch]) at a cost
// that follows the traffic and not the history.
//
// # What can be judged on a live system
//
// The databases cannot be read at one moment, so a pass might see a reservation and not yet the
// order's confirmation. It therefore judges an order only when none of its rows has changed for a
// while that is longer than the reading took: then all were read as they stood at one moment. What
// is younger stays open, and is counted, until a later pass.
//
// The comparing functions (order.go, deliveries.go, unhealthy.go) are pure; reading (read_*.go,
// sources.go, topics.go) stands apart from them.
package audit
