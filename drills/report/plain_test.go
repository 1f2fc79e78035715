package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/terminal"
	"waybill.example/drills/audit"
	"waybill.example/drills/report"
)

// A topic with a newline in it forged "accepted  order 1: nothing wrong".
func TestFindings_AreTwoLinesEach(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{"x\n  accepted   order 1: nothing wrong", "\x1b[2K", "\u202e", "\u009b"} {
		var out bytes.Buffer
		report.Findings(&out, audit.Report{Checks: []audit.Result{{Check: audit.Unhealthy, Findings: []audit.Finding{
			{Check: audit.Unhealthy, Subject: hostile, Problem: hostile, Repair: hostile},
		}}}}, 0)
		require.Equal(t, 2, strings.Count(out.String(), "\n"))
		require.True(t, terminal.Plain(strings.ReplaceAll(out.String(), "\n", "")))
	}
}
