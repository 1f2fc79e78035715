package collect

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// Saga n began n seconds ago; one in ten has not ended.
const manySagasSQL = `
insert into sagas (id, definition, version, phase, state, revision, steps, data, started_at, updated_at, deadline, ended_at)
select n::text, 'order', 1, case when open then 'RUNNING' else 'COMPLETED' end, case when open then 'RUNNING' else 'CONFIRMED' end, 1, '[]', '{}',
       now() - n * interval '1 second', now(), case when open then now() end, case when not open then now() end
  from (select n, n % 10 = 0 as open from generate_series(1, $1::int) n) as s`

// The sample is spread evenly over the sagas that have ended, and costs no more than a bounded look
// at the newest, however many there are.
func TestChoose_SamplesEvenlyAndReadsABoundedPart(t *testing.T) {
	t.Parallel()
	sagas := 3000
	if n, err := strconv.Atoi(os.Getenv("MANY_SAGAS")); err == nil {
		sagas = n // to measure
	}
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	_, err := db.Pool.Exec(t.Context(), manySagasSQL, sagas)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `vacuum analyze sagas`)
	require.NoError(t, err)
	pool := servicePool(t, db)
	registry, err := saga.NewRegistry()
	require.NoError(t, err)
	c := &Collector{Sagas: inspect.New(pool, registry)}
	since := time.Now().Add(-time.Duration(sagas+60) * time.Second)

	began := time.Now()
	got, err := c.choose(t.Context(), since, 50)
	require.NoError(t, err)
	t.Logf("50 of %d chosen in %s", got.of, time.Since(began).Round(time.Millisecond))
	require.Len(t, got.refs, 50)
	read := min(sagas, recent)
	require.Equal(t, read*9/10, got.of)
	require.Equal(t, read, got.read)
	last := 0
	for _, ref := range got.refs {
		n, err := strconv.Atoi(ref.ID)
		require.NoError(t, err)
		require.InDelta(t, read/50, n-last, 2)
		last = n
	}
	all, err := c.choose(t.Context(), time.Now().Add(-25*time.Second), 50)
	require.NoError(t, err)
	require.Len(t, all.refs, all.of, "where there are fewer, all of them")
	none, err := c.choose(t.Context(), time.Now(), 50)
	require.NoError(t, err)
	require.Empty(t, none.refs)

	plan := pgtest.Explain(t, pool, endedSQL, since, 50, 1000)
	require.LessOrEqual(t, plan.Read("sagas"), 1001.0, "%+v", plan)
}
