package migrations_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

// shapeSQL describes all that a schema has: columns, constraints, indexes, functions, triggers,
// views, comments and settings.
const shapeSQL = `
select what from (
    select format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) as what
      from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
    union all select conname || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
    union all select pg_get_indexdef(indexrelid) from pg_index join pg_class on pg_class.oid = indexrelid where relnamespace = 'public'::regnamespace
    union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace and prokind <> 'a'
    union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    union all select pg_get_viewdef(oid) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'
    union all select format('%s %s', relname, reloptions) from pg_class where relnamespace = 'public'::regnamespace
    union all select obj_description(oid, 'pg_class') from pg_class where relnamespace = 'public'::regnamespace
) as shape where what !~ 'goose_' and what is not null order by what`

func shape(t *testing.T, db *pgtest.Database) []string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), shapeSQL)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// What is shown for review is what runs: the text of the plan makes the schema that Up makes.
func TestPlan_ShowsTheStatementsThatUpRuns(t *testing.T) {
	t.Parallel()
	for _, set := range migrations.Sets() {
		t.Run(string(set), func(t *testing.T) {
			t.Parallel()
			sets := []migrations.Set{migrations.Outbox}
			if set != migrations.Outbox {
				sets = append(sets, set)
			}
			byHand, byUp := pgtest.New(t), pgtest.New(t)
			pending, err := migrations.Plan(t.Context(), byHand.URL, sets...)
			require.NoError(t, err)
			applied, err := migrations.Up(t.Context(), byUp.URL, sets...)
			require.NoError(t, err)
			require.Len(t, pending, len(applied))
			for i, p := range pending {
				require.Equal(t, applied[i].File, p.File)
				_, err := byHand.Pool.Exec(t.Context(), p.SQL)
				require.NoError(t, err, p.File)
			}
			require.Equal(t, shape(t, byUp), shape(t, byHand))

			left, err := migrations.Plan(t.Context(), byUp.URL, sets...)
			require.NoError(t, err)
			require.Empty(t, left)
			_, err = migrations.Down(t.Context(), byUp.URL, set)
			require.NoError(t, err)
			left, err = migrations.Plan(t.Context(), byUp.URL, sets...)
			require.NoError(t, err)
			require.Len(t, left, 1, "what was taken back is pending again")
		})
	}
}

func TestPlan_ChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := migrations.Plan(t.Context(), db.URL, migrations.Sets()...)
	require.NoError(t, err)
	var tables int
	require.NoError(t, db.Pool.QueryRow(t.Context(), `select count(*) from pg_class where relnamespace = 'public'::regnamespace`).Scan(&tables))
	require.Zero(t, tables)
	_, err = migrations.Plan(t.Context(), db.URL, "shipping")
	require.ErrorIs(t, err, migrations.ErrUnknownSet)
}

// Replicas that migrate and grant when they start do both at once.
func TestApplyGrants_ProcessesThatGrantAtOnceDoNotCollide(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	login := "waybill_at_once_" + uuid.NewString()
	_, err := db.Pool.Exec(t.Context(), "create role "+pgx.Identifier{login}.Sanitize())
	require.NoError(t, err)
	t.Cleanup(func() {
		name := pgx.Identifier{login}.Sanitize()
		_, _ = db.Pool.Exec(t.Context(), "drop owned by "+name+"; drop role "+name)
	})
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = migrations.ApplyGrants(t.Context(), db.URL, login, migrations.Writer, migrations.Consumer)
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}
