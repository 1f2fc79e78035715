package observability_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

type dashboard struct {
	UID    string `json:"uid"`
	Title  string `json:"title"`
	Panels []struct {
		Type    string   `json:"type"`
		Title   string   `json:"title"`
		Targets []target `json:"targets"`
	} `json:"panels"`
}

type target struct {
	Expr     string `json:"expr"`
	Exemplar bool   `json:"exemplar"`
}

func TestDashboards_AskWhatPrometheusUnderstands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	recorded := map[string]bool{}
	for _, r := range load(t) {
		recorded[r.Record] = true
	}
	p := parser.NewParser(parser.Options{})
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(text, &d), file)
		require.NotEmpty(t, d.UID, file)
		for _, panel := range d.Panels {
			require.True(t, panel.Type == "row" || len(panel.Targets) > 0, panel.Title)
			shows := func(t target) bool { return t.Exemplar }
			quantiles := slices.ContainsFunc(panel.Targets, func(t target) bool { return strings.HasPrefix(t.Expr, "histogram_quantile") })
			require.Equal(t, quantiles, slices.ContainsFunc(panel.Targets, shows), "%s: a slow one leads to its trace", panel.Title)
			for _, target := range panel.Targets {
				query, err := p.ParseExpr(strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
				require.NoError(t, err, "%s: %s", file, panel.Title)
				parser.Inspect(query, func(node parser.Node, _ []parser.Node) error {
					if v, ok := node.(*parser.VectorSelector); ok && strings.Contains(v.Name, ":") {
						require.True(t, recorded[v.Name], "%s: no rule records %s", panel.Title, v.Name)
					}
					return nil
				})
			}
		}
	}
}
