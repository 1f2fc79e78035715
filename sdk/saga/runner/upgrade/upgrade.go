// Package upgrade says, before a deploy, what would become of the sagas that are in a database
// under the definitions of another program: which would be suspended, hang, leave something behind,
// or could not be read. It reads only.
//
// Each open saga is read and held against the definition of its version. Sagas whose futures have
// the same shape are one class ([saga.Definition.Likeness]); of each class the futures of one saga
// are explored ([saga.Definition.Explore]). So the time is that of reading the sagas, and the
// memory that of their classes.
//
// In the code: upgrade.go reads and groups, compare.go holds the structure of a version against
// what it was, report.go is what is found.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/store"
)

// Options bound a check; zero fields are the defaults.
type Options struct {
	// States bounds how many distinct states are explored for each class; 0 is 5,000.
	States int
	// Classes bounds for how many classes; 0 is 1,000. Sagas of further classes are read, and
	// counted in [Report.Unexplored].
	Classes int
}

// Check holds the open sagas of a database against the definitions of a registry. The database role
// needs to read the tables sagas and saga_definitions, and nothing else.
func Check(ctx context.Context, db *pgxpool.Pool, registry *saga.Registry, o Options) (Report, error) {
	if o.States == 0 {
		o.States = 5000
	}
	if o.Classes == 0 {
		o.Classes = 1000
	}
	c := &check{registry: registry, options: o, found: map[Finding]*Finding{}, classes: map[string]*class{}}
	began := time.Now()
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, db, snapshot, func(tx pgx.Tx) error {
		// It takes as long as it takes, and holds up nobody.
		if _, err := tx.Exec(ctx, "set local statement_timeout = 0"); err != nil {
			return err
		}
		if err := c.compare(ctx, tx); err != nil {
			return err
		}
		return c.read(ctx, tx)
	})
	if err != nil {
		return Report{}, fmt.Errorf("check the open sagas: %w", err)
	}
	return c.report(time.Since(began)), nil
}

// check is one check.
type check struct {
	registry *saga.Registry
	options  Options
	sagas    int64
	states   int
	skipped  int64
	changed  map[version][]change
	classes  map[string]*class
	order    []*Finding
	found    map[Finding]*Finding
}

type version struct {
	name   string
	number int
}

// class is sagas whose futures have the same shape.
type class struct {
	problems []Finding
}

const openSQL = `select ` + store.Columns + ` from sagas where wake_at is not null and deadline is not null`

// read streams the open sagas.
func (c *check) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, openSQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s, err := store.Scan(rows)
		if unreadable, ok := errors.AsType[*store.UnreadableError](err); ok {
			c.sagas++
			c.add(s, Finding{Kind: Unreadable, What: unreadable.Err.Error()})
			continue
		}
		if err != nil {
			return err
		}
		c.one(s)
	}
	return rows.Err()
}

// one holds one saga against its definition.
func (c *check) one(s saga.State) {
	c.sagas++
	v := version{s.Definition, s.Version}
	def, registered := c.registry.Definition(s.Definition, s.Version)
	switch {
	case !registered:
		c.add(s, Finding{Kind: Park, What: "its version is not registered in this program: it would be suspended"})
		return
	case s.Phase.Ended():
		return // what is held for it is applied, or set aside
	}
	for _, change := range c.changed[v] {
		if kind, what, concerned := change.consequence(s); concerned {
			c.add(s, Finding{Kind: kind, Step: change.step, What: what})
		}
	}
	if err := def.Readable(s); err != nil {
		c.add(s, Finding{Kind: Unreadable, What: err.Error()})
		return
	}
	for _, f := range c.classOf(def, s).problems {
		c.add(s, f)
	}
}

// classOf explores the futures of a saga, unless one like it was seen.
func (c *check) classOf(def *saga.Definition, s saga.State) *class {
	key := s.Definition + "@" + fmt.Sprint(s.Version) + " " + def.Likeness(s)
	if one, known := c.classes[key]; known {
		return one
	}
	if len(c.classes) >= c.options.Classes {
		c.skipped++
		return &class{}
	}
	one := &class{}
	c.classes[key] = one
	explored := def.Explore(s, s.UpdatedAt, c.options.States)
	c.states += explored.States
	for _, p := range explored.Problems {
		one.problems = append(one.problems, Finding{Kind: Kind(p.Kind), What: p.What, Path: joined(p.Path)})
	}
	return one
}
