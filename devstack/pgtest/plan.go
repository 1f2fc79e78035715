package pgtest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Plan is a part of what Postgres did for a statement, as EXPLAIN has it.
type Plan struct {
	Node     string  `json:"Node Type"`
	Table    string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"` // on average of all loops
	Filtered float64 `json:"Rows Removed by Filter"`
	Loops    float64 `json:"Actual Loops"`
	Parts    []Plan  `json:"Plans"`
}

// Read is how many rows of a table were looked at, whether they were of use or not.
func (p Plan) Read(table string) float64 {
	sum := 0.0
	if p.Table == table {
		sum = (p.Rows + p.Filtered) * p.Loops
	}
	for _, part := range p.Parts {
		sum += part.Read(table)
	}
	return sum
}

// Explain runs a statement, and returns what Postgres did. It is for tests that hold a statement to
// the rows that it may read: with the pool of a service, under the settings of its sessions.
func Explain(t testing.TB, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, sql string, args ...any,
) Plan {
	t.Helper()
	var text string
	require.NoError(t, db.QueryRow(t.Context(), "explain (analyze, timing off, format json) "+sql, args...).Scan(&text))
	var plans []struct{ Plan Plan }
	require.NoError(t, json.Unmarshal([]byte(text), &plans))
	return plans[0].Plan
}
