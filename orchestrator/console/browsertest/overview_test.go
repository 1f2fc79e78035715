package browsertest

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"waybill.example/devstack/stack"
)

// The first screen says how everything is: of orders that went through, of one that was refused.
func TestOverview_ShowsHowEverythingIs(t *testing.T) {
	t.Parallel()
	tab := open(t, adminToken)
	for n := range 12 {
		tab.world.place(t, fmt.Sprintf(`{"userId":"u%d","sku":"burger","quantity":1}`, n), false)
	}
	tab.world.place(t, `{"userId":"u1","sku":"unicorn","quantity":1}`, true)
	tab.visit("/")
	tab.awaitText("#live", "CANCELLED")
	tab.awaitText("#live", "CONFIRMED")
	tab.awaitText("#live", "orders.v1")
	tab.await(`document.querySelector("#plot-throughput canvas") && document.querySelector("#plot-duration canvas")`)
	tab.accessible()
	tab.shot("overview")
	tab.scheme("dark")
	tab.shot("overview-dark")
	tab.phone()
	tab.shot("overview-phone")
}

// An hour of sagas as a shop may have them, made of two that were: for the pictures.
const historySQL = `
insert into sagas (id, definition, version, phase, state, step, attempt, deadline, reason, revision, stale, stage, steps, data, extra, started_at, updated_at, ended_at)
select 'earlier-' || n, definition, version, phase, state, step, attempt, deadline, reason, revision, stale, stage, steps, data, extra, at, at + took, at + took
from (select distinct on (state) * from sagas where state in ('CONFIRMED', 'CANCELLED') order by state, started_at) s,
     lateral (select n, now() - interval '1 hour' * random() as at from generate_series(1, case state when 'CONFIRMED' then 11000 else 700 end) n) o,
     lateral (select interval '1 ms' * (14 + 9 * random() + 60 * random() ^ 12 + 4 * sin(extract(epoch from at) / 500)) as took) d
where random() < 0.55 + 0.4 * sin(extract(epoch from at) / 700)
on conflict do nothing`

// history gives the plots something to draw, where screenshots are taken. It comes before the first
// page: intervals that were read are remembered.
func (w *world) history(t *testing.T) {
	t.Helper()
	if os.Getenv(screenshots) == "" {
		return
	}
	w.place(t, `{"userId":"u1","sku":"burger","quantity":1}`, true)
	w.place(t, `{"userId":"u1","sku":"unicorn","quantity":1}`, true)
	db, err := pgx.Connect(t.Context(), w.stack.State().Databases[stack.Orchestrator])
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(t.Context(), historySQL)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "analyze sagas")
	require.NoError(t, err)
}
