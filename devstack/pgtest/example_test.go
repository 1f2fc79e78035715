package pgtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/devstack/pgtest"
	"waybill.example/migrations"
)

func Example() {
	// A package's tests begin with
	//	func TestMain(m *testing.M) { pgtest.Main(m) }
	// and each has a database of its own, on the newest schema:
	_ = func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t, migrations.Outbox)
		_, err := db.Pool.Exec(t.Context(), "select from outbox")
		require.NoError(t, err)
	}
}

func ExamplePrivate() {
	_ = func(t *testing.T) {
		server := pgtest.Private(t)
		db := server.New(t, migrations.Outbox)
		server.Kill()
		require.Error(t, db.Pool.Ping(t.Context()))
		require.NoError(t, server.Start(t.Context()))
	}
}
