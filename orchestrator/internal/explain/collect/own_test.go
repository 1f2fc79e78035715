package collect

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// servicePool is one as the orchestrator has it, with the settings of its sessions.
func servicePool(t *testing.T, db *pgtest.Database) *pgxpool.Pool {
	t.Helper()
	pool, err := chassispg.Open(t.Context(), chassispg.Config{URL: config.Secret(db.URL)}, "test")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// However many messages the orchestrator has sent, one order's are found by their key.
func TestOwnSent_ReadsTheRowsOfOneKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox)
	_, err := db.Pool.Exec(t.Context(), `
insert into outbox (topic, key, type, payload) select 't', (n / 2)::text, 'T', '{}' from generate_series(0, 9999) n`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `vacuum analyze outbox`)
	require.NoError(t, err)
	pool := servicePool(t, db)
	sent := ownSent(t.Context(), pool, "700", true)
	require.Empty(t, sent.Error)
	require.Len(t, sent.Sent, 2)
	require.Less(t, sent.Sent[0].ID, sent.Sent[1].ID)
	require.Equal(t, []byte("{}"), sent.Sent[0].Payload)
	plan := pgtest.Explain(t, pool, ownSentSQL, "700", 200, true)
	require.LessOrEqual(t, plan.Read("outbox"), 4.0, "%+v", plan)
}
