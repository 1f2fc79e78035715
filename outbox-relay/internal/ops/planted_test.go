package ops_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/outbox-relay/internal/ops"
	"waybill.example/outbox-relay/internal/source"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// plant makes operators and functions that fit the relay's statements better than Postgres' own, as
// any role may that can create in the schema. Each call leaves a number in a sequence, which a
// rollback does not take back.
const plant = `
create sequence public.calls;
create function public.contains(int8multirange, bigint) returns boolean language plpgsql as
	$$ begin perform nextval('public.calls'); return lower($1) <= $2; end $$;
create operator public.@> (leftarg = int8multirange, rightarg = bigint, function = public.contains);
create function public.plus(int8multirange, unknown_ text) returns int8multirange language plpgsql as
	$$ begin perform nextval('public.calls'); return $1; end $$;
create function public.format(text, int, text, text) returns text language plpgsql as
	$$ begin perform nextval('public.calls'); return ''; end $$;
create function public.coalesce_upper(int8multirange) returns bigint language plpgsql as
	$$ begin perform nextval('public.calls'); return 0; end $$;
create function public.count(bigint) returns bigint language plpgsql as
	$$ begin perform nextval('public.calls'); return 0; end $$;`

// A tenant's schema must not run code as the operator, in the dry run of a replay for instance, nor
// as the relay.
func TestDatabase_RunsNothingThatWasPlanted(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `insert into outbox (topic, key, type, payload) select 'orders.v1', g::text, 'T', '{}' from generate_series(1, 5) g`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), "update outbox_cursor set published = '{[1,4)}'")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), plant)
	require.NoError(t, err)

	d, err := ops.Open("orders", db.URL)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	_, err = d.Overview(t.Context())
	require.NoError(t, err)
	_, err = d.Pending(t.Context(), 0, 10)
	require.NoError(t, err)
	from, to := int64(1), int64(5)
	_, err = d.PlanReplay(t.Context(), source.Selection{FromID: &from, ToID: &to}, nil, []*ops.Database{d})
	require.NoError(t, err)
	_, err = d.Row(t.Context(), 1)
	require.NoError(t, err)

	s, err := source.Connect(t.Context(), "orders", db.URL)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })

	var called bool
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select is_called from calls").Scan(&called))
	require.False(t, called, "something that was planted has run")

	// The trap works: who looks names up in the schema steps into it.
	_, err = db.Pool.Exec(t.Context(), "select published @> id from outbox, outbox_cursor")
	require.NoError(t, err)
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select is_called from calls").Scan(&called))
	require.True(t, called)
}
