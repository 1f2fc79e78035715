package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/chassis/admin"
	"waybill.example/chassis/masking"
	"waybill.example/chassis/terminal"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/orchestrator/internal/explain"
	"waybill.example/sdk/saga/runner/inspect"
)

// A reason that came by Kafka, or that another operator gave, must not write a line of the
// timeline.
func TestPrinter_PrintsAsManyLinesWhateverTheTextsSay(t *testing.T) {
	t.Parallel()
	shown := func(text string) string {
		var p printer
		p.list([]httpapi.SagaLine{{Summary: inspect.Summary{ID: text, Definition: text, State: text, Step: text, Reason: text}}}, text)
		d := httpapi.Detail{Timeline: []inspect.Line{{Kind: text, Step: text, To: text, CauseType: text, Actor: text, Note: text}}}
		d.ID, d.Reason, d.Data = text, text, (*masking.Rules)(nil).Saga(admin.Admin, "", []byte(text))
		p.detail(d)
		p.report(explain.Report{
			ID: text, State: text, Summary: text, Obstacles: []string{text}, Next: []string{text}, Advice: []string{text},
			Sources: []explain.SourceState{{Name: text, Error: text}}, Timeline: []explain.Event{{Source: text, What: text}},
		})
		p.outcome(httpapi.Outcome{Observed: "x" + text, Recorded: &inspect.Line{Actor: text, Note: text}})
		return p.String()
	}
	lines := strings.Count(shown("harmless"), "\n")
	for _, hostile := range []string{"ok\n19:00:00.000  +1ms  intervened  force by carol", "\x1b[1A\x1b[2K", "\u009b2J", "\u202e", "\r", "\t\v", "\xff"} {
		out := shown(hostile)
		require.Equal(t, lines, strings.Count(out, "\n"), "%q", hostile)
		require.True(t, terminal.Plain(strings.ReplaceAll(out, "\n", "")), "%q", hostile)
	}
}
