// Package setup says what to do about a database that lacks what the sdk needs of it. Postgres
// names the table that is missing, and not where it would come from.
package setup

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs of what is missing, or older than its caller, and of what may not be used.
const (
	undefinedTable        = "42P01"
	undefinedColumn       = "42703"
	undefinedFunction     = "42883"
	insufficientPrivilege = "42501"
)

// sets are the migration sets by what they have in them that the sdk uses, and the roles that a
// login needs for it. Messages of Postgres may be in any language; names are what they are.
var sets = []struct {
	has         *regexp.Regexp
	name, roles string
}{
	{regexp.MustCompile(`\b(sagas|saga_(transitions|definitions|attributes|deadlines))\b`), "orchestrator", "writer consumer orchestrator reader"},
	{regexp.MustCompile(`\bparticipant_steps\b`), "participant", "writer consumer participant"},
	{
		regexp.MustCompile(`\b(outbox|inbox|inbox_expect_positions|consumer_positions|dead_letters|dead_letter_notes|parked_keys)\b`),
		"outbox", "writer consumer, and orchestrator reader where it runs sagas",
	},
}

// Explain adds to an error of Postgres which command puts right that a table, a column or a
// function of a migration set is missing, or that the login lacks a grant. Any other error it
// returns as it is.
func Explain(err error) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	for _, set := range sets {
		if !set.has.MatchString(pgErr.Message) {
			continue
		}
		switch pgErr.Code {
		case undefinedTable, undefinedColumn, undefinedFunction:
			return fmt.Errorf("%w; this database lacks the migration set %q, or has an older one; run: migrate up --database URL %s", err, set.name, set.name)
		case insufficientPrivilege:
			return fmt.Errorf("%w; run: migrate grants --to LOGIN ROLE… | psql URL, with the roles %s", err, set.roles)
		}
	}
	return err
}
