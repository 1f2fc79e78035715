package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
)

func TestOpen_SessionsAreTheSameThroughPgBouncer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	admin(t, db, "alter database %s set synchronous_commit = off")
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(db.PgBouncer(t, "session"))}, "test")
	require.NoError(t, err)
	defer pool.Close()
	for setting, want := range map[string]string{
		"synchronous_commit": "on", "statement_timeout": "20s", "lock_timeout": "2s",
		"idle_in_transaction_session_timeout": "8s", "enable_seqscan": "off", "application_name": "test",
	} {
		require.Equal(t, want, show(t, pool, setting), setting)
	}
	_, err = pool.Exec(postgres.FailFast(t.Context()), "select 1")
	require.NoError(t, err)
}
