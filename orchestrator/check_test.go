package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
	"waybill.example/orchestrator/cli"
	"waybill.example/orchestrator/orderflow"
	"waybill.example/orchestrator/ordersaga"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner"
	"waybill.example/sdk/saga/runner/upgrade"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestCheck_FailsForWhatTheseDefinitionsCannotGoOnWith(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations.Outbox, migrations.Orchestrator)
	definitions, err := orderflow.Definitions(ordersaga.DefaultTiming())
	require.NoError(t, err)
	sagas, err := runner.New(t.Context(), runner.Config{
		DB: db.Pool, Consumer: "orchestrator", Definitions: definitions, Codec: orderflow.Codec{},
	})
	require.NoError(t, err)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, sagas.Start(t.Context(), tx, saga.Message{
		Type: "OrderCreated", Key: "7", Data: []byte(`{"orderId":7,"userId":"u1","sku":"burger","quantity":2}`),
	}))
	require.NoError(t, tx.Commit(t.Context()))

	look := func(asJSON bool) (string, error) {
		var out bytes.Buffer
		err := check{DatabaseURL: db.Pool.Config().ConnString(), States: 5000}.Run(t.Context(), &cli.Saga{JSON: asJSON}, &out)
		return out.String(), err
	}
	out, err := look(false)
	require.NoError(t, err, out)
	require.Contains(t, out, "1 open sagas of 1 shapes")

	_, err = db.Pool.Exec(t.Context(), "update sagas set version = 9")
	require.NoError(t, err)
	out, err = look(false)
	require.ErrorContains(t, err, "1 findings: do not deploy")
	require.Contains(t, out, "park       order@9 RUNNING: its version is not registered in this program: it would be suspended (1 sagas: 7)")
	out, err = look(true)
	require.Error(t, err)
	var report upgrade.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, upgrade.Park, report.Findings[0].Kind)
	require.Equal(t, []string{"7"}, report.Findings[0].Examples)
}
