package collect

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	chassispg "waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga/runner/inspect"
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

// The orchestrator of a shard sees its own databases under their plain names, and those of other
// shards not at all: one relay serves them all.
func TestSent_IsOfTheShardsDatabases(t *testing.T) {
	t.Parallel()
	pool := servicePool(t, pgtest.New(t, migrations.Outbox))
	relay := serve(t, 200, map[string]string{"/v1/messages": `{"databases":[
		{"database":"orders"},{"database":"orders-1","messages":[{"id":7,"type":"OrderCreated"}]},
		{"database":"orchestrator"},{"database":"orchestrator-1"}],"unreachable":["inventory","inventory-1"]}`})
	for shard, want := range map[string][]string{
		"": {"orchestrator", "orders", "orders-1", "orchestrator-1", "inventory", "inventory-1"}, "0": {"orchestrator", "orders", "inventory"},
		"1": {"orchestrator", "orders", "inventory"}, "2": {"orchestrator"},
	} {
		c := Collector{Sagas: inspect.New(pool, nil), Relay: peer(relay)}
		require.NoError(t, c.Shard.UnmarshalText([]byte(shard)))
		e := explain.Evidence{ID: "1000000000007"}
		c.sent(t.Context(), &e)
		names := make([]string, len(e.Databases))
		for i, d := range e.Databases {
			names[i] = d.Name
		}
		require.Equal(t, want, names, "shard %q", shard)
		if shard == "1" {
			require.Equal(t, int64(7), e.Databases[1].Sent[0].ID)
		}
	}
}
