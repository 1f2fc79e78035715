// Package postgres runs a private Postgres server for development and tests,
// without Docker and without touching one that is installed: it uses whatever
// server programs it finds (or fetches them), on a data directory of its own,
// on the loopback interface only, with fsync on.
package postgres
