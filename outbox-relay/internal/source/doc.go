// Package source is one database that the relay empties: the session that leads it, the statements
// that read its outbox and move its cursor, and what Postgres can tell about ids that are missing.
//
// A Session is one connection, used by one goroutine. The leading session holds an advisory lock,
// so that its end, however it comes, is the end of the leadership.
package source
