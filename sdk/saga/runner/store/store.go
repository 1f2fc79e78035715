// Package store keeps sagas in Postgres: it loads those that a batch of inputs is for, and writes
// what became of them in the caller's transaction. It decides nothing; the package runner does,
// with the engine.
//
// A batch takes as many statements as a single input: sagas are loaded by one, and written by one
// insert, one update and one insert of transitions that travel together. They are queued, so that
// the caller decides what else goes the same way. Every update names the revision that it saw:
// where another process was faster, the statement fails with a serialization failure, and the
// transaction takes everything back.
//
// In the code:
//
//	load.go         rows become states
//	save.go         states and transitions become rows
//	due.go          sagas whose deadline has passed, and what is put off
//	definitions.go  what each version was when it was first run
//	suspensions.go  versions of definitions that are suspended
//	clock.go        the database's clock
//	expire.go       retention
//	positions.go    how far a consumer has read
//
// The tables belong to the migration set "orchestrator", and those of the outbox and the inbox to
// "outbox".
package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/saga"
)

// SchemaVersion is the version of the migration set "orchestrator" that this package needs.
const SchemaVersion = 12

// Store loads and saves sagas. It is safe for concurrent use, by several processes as well.
type Store struct {
	// DB is the pool for what does not run in a caller's transaction.
	DB *pgxpool.Pool
	// Registry has the definitions of the sagas, by which states are named.
	Registry *saga.Registry
	// Clock, if set, replaces the database's clock. It is for tests.
	Clock func() time.Time

	clock clock
}

// New returns a store.
func New(db *pgxpool.Pool, registry *saga.Registry) *Store { return &Store{DB: db, Registry: registry} }

// ErrNotFound says that there is no saga with the given id.
var ErrNotFound = errors.New("no such saga")

// ErrSeveral says that sagas of several definitions have the given id; the error names them.
var ErrSeveral = errors.New("several definitions have a saga of this id")

// Only returns the saga that a ref means among those of its id: one without a definition means the
// only saga of its id. The errors are [ErrNotFound] and [ErrSeveral].
func Only(found []saga.State, ref saga.Ref) (saga.State, error) {
	var fit []saga.State
	var names []string
	for _, s := range found {
		if ref.Definition == "" || ref.Definition == s.Definition {
			fit, names = append(fit, s), append(names, s.Definition)
		}
	}
	switch len(fit) {
	case 0:
		return saga.State{}, ErrNotFound
	case 1:
		return fit[0], nil
	}
	slices.Sort(names)
	return saga.State{}, fmt.Errorf("%w: %s", ErrSeveral, strings.Join(names, ", "))
}
