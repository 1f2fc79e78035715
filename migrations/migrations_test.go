package migrations_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Each set is installed as its service's database has it: behind the outbox set, or alone.
func TestUp_EverySetGoesUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	for _, set := range migrations.Sets() {
		t.Run(string(set), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			latest, err := migrations.Latest(set)
			require.NoError(t, err)

			for range 2 {
				applied, err := migrations.Up(t.Context(), db.URL, set)
				require.NoError(t, err)
				require.NotEmpty(t, applied)
				require.Equal(t, latest, applied[len(applied)-1].Version)

				again, err := migrations.Up(t.Context(), db.URL, set)
				require.NoError(t, err)
				require.Empty(t, again)

				for range applied {
					back, err := migrations.Down(t.Context(), db.URL, set)
					require.NoError(t, err)
					require.Len(t, back, 1)
				}
				none, err := migrations.Down(t.Context(), db.URL, set)
				require.NoError(t, err)
				require.Empty(t, none)
			}
			var left int
			require.NoError(t, db.Pool.QueryRow(t.Context(),
				`select count(*) from pg_class where relnamespace = 'public'::regnamespace and relname not like 'goose%'`).Scan(&left))
			require.Zero(t, left, "down leaves nothing behind")
		})
	}
}

func TestStatus_DistinguishesAppliedFromPending(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pending, err := migrations.Status(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	require.True(t, pending[0].Applied.IsZero())

	_, err = migrations.Up(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	applied, err := migrations.Status(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	require.False(t, applied[0].Applied.IsZero())
}

// Several replicas of a service may be started with a migration step each.
func TestUp_ProcessesThatMigrateAtOnceDoNotCollide(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = migrations.Up(t.Context(), db.URL, migrations.Outbox, migrations.Orders) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// What waits for a lock on a table keeps all others off it that come later.
func TestUp_GivesUpALockThatItDoesNotGet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := migrations.Down(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	_, err = migrations.Down(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	before, err := migrations.Plan(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	reader, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = reader.Rollback(t.Context()) }()
	_, err = reader.Exec(t.Context(), "lock table pg_catalog.pg_class in access exclusive mode")
	require.NoError(t, err)

	_, err = migrations.Up(t.Context(), db.URL+"&lock_timeout=200ms", migrations.Outbox)
	require.ErrorContains(t, err, "run it again")
	require.NoError(t, reader.Rollback(t.Context()))
	after, err := migrations.Plan(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, err = migrations.Up(t.Context(), db.URL, migrations.Outbox)
	require.NoError(t, err)
}

func TestUp_RefusesAnUnknownSetByName(t *testing.T) {
	t.Parallel()
	_, err := migrations.Up(t.Context(), "postgres://127.0.0.1:1/x", "shipping")
	require.ErrorIs(t, err, migrations.ErrUnknownSet)
	require.EqualError(t, err, `unknown migration set "shipping": the sets are outbox, participant, orders, inventory, orchestrator`)
}

func TestUp_DoesNotEchoABadURL(t *testing.T) {
	t.Parallel()
	_, err := migrations.Up(t.Context(), "postgres://u:hunter2@[bad", migrations.Outbox)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}
