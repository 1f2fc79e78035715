// Package inspect answers questions about sagas: which there are, where one stands and how it got
// there, what is waited for, how all of them are doing, and which versions of definitions are still
// needed. It reads the tables of the package store and changes nothing.
//
// In the code:
//
//	list.go       lists of sagas
//	query.go      one saga with its timeline
//	deadlines.go  what is waited for, the earliest first
//	stats.go      counts, rates and durations
//	versions.go   what is left of each version of a definition
//	coverage.go   which transitions the newest sagas of a definition made
//	outbox.go     what became of a saga's messages in the outbox
package inspect

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/saga"
)

// Inspector reads sagas. It is safe for concurrent use.
type Inspector struct {
	db       *pgxpool.Pool
	registry *saga.Registry
}

// New returns an inspector of the sagas in a database. The registry has the definitions that are
// known here: of sagas of others, steps have no names.
func New(db *pgxpool.Pool, registry *saga.Registry) *Inspector { return &Inspector{db, registry} }

// Registry has the definitions that are known here.
func (i *Inspector) Registry() *saga.Registry { return i.registry }

// DB is the database that is read.
func (i *Inspector) DB() *pgxpool.Pool { return i.db }
