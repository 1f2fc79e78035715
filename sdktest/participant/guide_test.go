package participant_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the guide shows of the functions runs.
func TestGuide_ItsSQLRuns(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/sagas.md")
	require.NoError(t, err)
	_, sql, found := strings.Cut(string(guide), "```sql\nselect participant_begin")
	require.True(t, found)
	sql, _, _ = strings.Cut(sql, "```")
	db := newDatabase(t)
	var todo string
	require.NoError(t, db.Pool.QueryRow(t.Context(), "select participant_begin"+sql).Scan(&todo))
	require.Equal(t, "do", todo)
}
