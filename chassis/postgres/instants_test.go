package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/config"
	"waybill.example/chassis/postgres"
	"waybill.example/devstack/pgtest"
)

func TestBoundInstants_EveryTimestampCanBeShown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: config.Secret(db.URL)}, "test")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	for written, shown := range map[string]string{
		"infinity":                    `"9999-12-31T23:59:59.999999Z"`,
		"-infinity":                   `"0001-01-01T00:00:00Z"`,
		"294276-12-31":                `"9999-12-31T23:59:59.999999Z"`,
		"4713-01-01 BC":               `"0001-01-01T00:00:00Z"`,
		"9999-12-31 23:30:00-02":      `"9999-12-31T23:59:59.999999Z"`,
		"2026-11-23 10:04:05.123456Z": `"2026-11-23T10:04:05.123456Z"`,
		"2026-11-23 10:04:05+02":      `"2026-11-23T08:04:05Z"`,
	} {
		var at time.Time
		var maybe, none *time.Time
		require.NoError(t, pool.QueryRow(t.Context(), `select $1::text::timestamptz, $1::text::timestamptz, null::timestamptz`, written).Scan(&at, &maybe, &none), written)
		encoded, err := json.Marshal(at)
		require.NoError(t, err, written)
		require.Equal(t, shown, string(encoded), written)
		require.Equal(t, at, *maybe)
		require.Nil(t, none)
	}
	require.ErrorContains(t, pool.QueryRow(t.Context(), `select null::timestamptz`).Scan(new(time.Time)), "null")
}
