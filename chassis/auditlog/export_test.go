package auditlog_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/auditlog"
)

// What a person wrote as a reason must not be a formula when the export is opened.
func TestExport_ASpreadsheetRunsNothing(t *testing.T) {
	t.Parallel()
	record := auditlog.Located{Database: "orders", Record: auditlog.Record{
		Seq: 1, At: time.Unix(0, 0), Actor: "@ann", Action: "outbox.retry", Object: "outbox/17", Reason: `=HYPERLINK("http://x","y")`,
		After: json.RawMessage(`{"a":12345678901234567890}`), Hash: []byte{0xab},
	}}
	var out bytes.Buffer
	export := auditlog.CSV(&out)
	require.NoError(t, export.Write(record))
	require.NoError(t, export.Flush())
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "orders", rows[1][0])
	require.Equal(t, "'@ann", rows[1][3])
	require.Equal(t, `'=HYPERLINK("http://x","y")`, rows[1][9])
	require.Equal(t, `{"a":12345678901234567890}`, rows[1][11], "a number stays as it is")
	require.Equal(t, "ab", rows[1][13])

	out.Reset()
	export = auditlog.JSONLines(&out)
	require.NoError(t, export.Write(record))
	require.NoError(t, export.Flush())
	require.Contains(t, out.String(), `"reason":"=HYPERLINK(`, "JSON lines are for programs, and to be verified")
}
