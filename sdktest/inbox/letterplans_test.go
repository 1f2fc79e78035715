package inbox_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/sdk/deadletter"
)

// asked remembers the last statement of a pool.
type asked struct {
	sql  string
	args []any
}

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	a.sql, a.args = data.SQL, data.Args
	return ctx
}

func (*asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Old, closed and open ones, of as many keys: the open ones are neither the newest nor together.
const manyLettersSQL = `
insert into dead_letters (consumer, topic, "partition", "offset", key, type, event_id, decoded, payload, payload_bytes, whole, key_id, state, reason, cause, set_aside_at, changed_at)
select 'c', 't', 0, n, convert_to('k' || n, 'UTF8'), 'T' || n % 3, gen_random_uuid(), true, '{}', 2, true,
       case when open then md5((n / 2)::text)::uuid end,
       case when open then case n % 2 when 0 then 'dead' else 'parked' end when n % 100 = 0 then 'discarded' else 'redriven' end,
       'constraint ' || n % 7, 'constraint ' || n % 7, now() - n * interval '1 second', now()
  from (select n, n % ($1 / 1000) < 2 and n < $1 / 2 as open from generate_series(1, $1::int) n) rows`

// However many dead letters were closed in the months that they are kept for, a look at those that
// are open reads these and no others, and a page reads little more than a page: under the settings
// of the services' sessions, whose plans do not depend on the values.
func TestStore_ReadsNoMoreThanItAnswersWith(t *testing.T) {
	t.Parallel()
	letters := 50_000
	if n, err := strconv.Atoi(os.Getenv("MANY_LETTERS")); err == nil {
		letters = n // to measure
	}
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), manyLettersSQL, letters)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `vacuum analyze dead_letters`)
	require.NoError(t, err)

	var last asked
	cfg, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	cfg.MaxConns, cfg.ConnConfig.Tracer = 1, &last
	cfg.ConnConfig.RuntimeParams["plan_cache_mode"], cfg.ConnConfig.RuntimeParams["enable_seqscan"] = "force_generic_plan", "off"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := deadletter.NewStore(pool)
	stats, err := store.Stats(t.Context())
	require.NoError(t, err)
	open := float64(stats[0].Dead + stats[0].Parked)
	require.InDelta(t, 1000, open, 10)

	const page = 51
	event, ago := uuid.New(), time.Now().Add(-time.Hour)
	list := func(f deadletter.Filter) func() error {
		return func() error { _, err := store.List(t.Context(), f, deadletter.Page{Limit: page}); return err }
	}
	groups := func(f deadletter.Filter) func() error {
		return func() error { _, err := store.Groups(t.Context(), f, 100); return err }
	}
	for name, tt := range map[string]struct {
		ask  func() error
		most float64
	}{
		"a page of the open ones":    {list(deadletter.Filter{}), page},
		"a page of the dead ones":    {list(deadletter.Filter{State: deadletter.Dead}), page},
		"a page of the parked ones":  {list(deadletter.Filter{State: deadletter.Parked}), page},
		"a page of the redriven":     {list(deadletter.Filter{State: deadletter.Redriven}), page},
		"a page of the discarded":    {list(deadletter.Filter{State: deadletter.Discarded}), page},
		"a page of the superseded":   {list(deadletter.Filter{State: deadletter.Superseded}), 0},
		"a page of any":              {list(deadletter.Filter{Any: true}), page},
		"a key's":                    {list(deadletter.Filter{Any: true, Key: "k7"}), 1},
		"an event's":                 {list(deadletter.Filter{Any: true, EventID: &event}), 0},
		"open ones of a cause":       {list(deadletter.Filter{Cause: "none"}), open},
		"open ones with a text":      {list(deadletter.Filter{Reason: "none"}), open},
		"open ones of a type":        {list(deadletter.Filter{Type: "none"}), open},
		"open ones of the last hour": {list(deadletter.Filter{Since: &ago}), open},
		"groups of the open ones":    {groups(deadletter.Filter{}), 2 * open},
		"groups of the dead ones":    {groups(deadletter.Filter{State: deadletter.Dead}), 2 * open},
		"how many are open":          {func() error { _, err := store.Stats(t.Context()); return err }, open},
	} {
		began := time.Now()
		require.NoError(t, tt.ask(), name)
		took, plan := time.Since(began), pgtest.Explain(t, pool, last.sql, last.args...)
		if testing.Verbose() {
			t.Logf("%-28s %6.0f rows read, %s", name, plan.Read("dead_letters"), took.Round(10*time.Microsecond))
		}
		require.LessOrEqual(t, plan.Read("dead_letters"), tt.most+1, "%s: %+v", name, plan)
	}
}
