package report_test

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"waybill.example/drills/report"
)

func TestAFigureIsALineOfThreeWords(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	section := report.New(&out).Part("Throughput", "")
	section.Add("saga_throughput", 4123.4, "sagas/s", nil)
	section.Add("saga_ratio", 0.3512, "of order_tx_limit", nil)
	section.Add("confirm_p50_50", 12.34, "ms", nil)
	section.Add("backlog_orders", 200_000, "orders", nil)
	require.Equal(t, "saga_throughput 4123 sagas/s\nsaga_ratio 0.351 of order_tx_limit\nconfirm_p50_50 12.3 ms\nbacklog_orders 200000 orders\n", out.String())
}

func TestATargetIsMetFromItsOwnSide(t *testing.T) {
	t.Parallel()
	require.True(t, report.Figure{Value: 4000, Target: report.Least(4000)}.Met())
	require.False(t, report.Figure{Value: 3999, Target: report.Least(4000)}.Met())
	require.True(t, report.Figure{Value: 8, Target: report.Most(8)}.Met())
	require.False(t, report.Figure{Value: 8.1, Target: report.Most(8)}.Met())
	require.True(t, report.Figure{}.Met())
}

func TestThePageNeedsNothingElseAndSaysWhatWasMissed(t *testing.T) {
	t.Parallel()
	r := report.New(&bytes.Buffer{})
	section := r.Part("Tom & Jerry", "a < b")
	section.Add("met", 1, "s", report.Most(2))
	section.Add("missed", 3, "s", report.Most(2))
	section.Plot(report.Chart{
		Title: "Rates <b>", Unit: "orders/s", XUnit: " s",
		Lines: []report.Line{{Name: "accepted", Points: []report.Point{{X: 0, Y: 1}, {X: 1, Y: 5}}}, {Name: "empty"}},
	})
	var page bytes.Buffer
	require.NoError(t, r.HTML(&page, "a machine"))
	var tables bytes.Buffer
	require.NoError(t, r.Markdown(&tables, "a machine"))
	require.Contains(t, tables.String(), ", a machine.\n\n### Tom & Jerry\n\na \\< b\n\n| figure | value | target |\n| --- | --- | --- |\n"+
		"| `met` | 1 s | ≤ 2 met |\n| `missed` | 3 s | ≤ 2 **missed** |\n")
	text := page.String()
	require.NotRegexp(t, `(src|href)=|@import|https?://`, text)
	require.Contains(t, text, "Tom &amp; Jerry")
	require.Contains(t, text, "Rates &lt;b&gt;")
	require.Regexp(t, `class="missed">≤ 2 missed`, text)
	require.Regexp(t, `class="met">≤ 2 met`, text)

	svg := text[strings.Index(text, "<svg"):]
	svg = svg[:strings.Index(svg, "</svg>")+len("</svg>")]
	require.NoError(t, xml.Unmarshal([]byte(svg), new(any)))
}
