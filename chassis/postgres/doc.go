// Package postgres opens a service's connection pool whose every wait has a bound, waits for a
// database that is unavailable, refuses a schema that is too old, says whose fault an error is
// ([Classify]), and names who holds a lock ([Blockers]).
package postgres
