// Package postgres opens a service's connection pool, waits for a database that is away, refuses a
// schema that is too old, and tells errors that time mends from those that it does not.
package postgres
