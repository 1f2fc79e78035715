package outbox_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/outbox"
)

// Postgres names the table that is missing; the error names the command that makes it.
func TestAppend_SaysWhatToRunWhereTheDatabaseWasNotSetUp(t *testing.T) {
	t.Parallel()
	empty, ready := pgtest.New(t), pgtest.New(t, migrations.Outbox)
	for _, c := range []struct {
		db         *pgtest.Database
		role       string
		says, code string
	}{
		{empty, "none", `this database lacks the migration set "outbox", or has an older one; run: migrate up --database URL outbox`, "42P01"},
		// It may create nothing and read the statistics: no grant on a table comes with it.
		{ready, "pg_read_all_stats", "run: migrate grants --to LOGIN ROLE… | psql URL, with the roles writer consumer", "42501"},
	} {
		err := pgx.BeginFunc(t.Context(), c.db.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "set local role "+c.role); err != nil {
				return err
			}
			return outbox.Append(t.Context(), tx, outbox.Message{Topic: "t", Type: "T"})
		})
		require.ErrorContains(t, err, c.says)
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr, "it is still the error of Postgres")
		require.Equal(t, c.code, pgErr.Code)
	}
}
