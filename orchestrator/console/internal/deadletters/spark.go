package deadletters

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// The picture's size, in its own units: bars of equal width, whose heights are their share of the
// highest.
const (
	barWidth, barGap = 5, 1
	sparkHeight      = 24
)

// spark draws counts as bars, the oldest first. An hour with anything has a bar that can be seen.
func spark(counts []int64) template.HTML {
	if len(counts) == 0 {
		return ""
	}
	highest, total := slices.Max(counts), int64(0)
	var bars strings.Builder
	for i, n := range counts {
		total += n
		height := int64(1)
		class := ` class="none"`
		if n > 0 {
			height, class = max(3, n*sparkHeight/highest), ""
		}
		fmt.Fprintf(&bars, `<rect%s x="%d" y="%d" width="%d" height="%d"><title>%d, %d h ago</title></rect>`,
			class, i*(barWidth+barGap), sparkHeight-height, barWidth, height, n, len(counts)-1-i)
	}
	width := len(counts)*(barWidth+barGap) - barGap
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%d in the last %d hours, at most %d an hour">%s</svg>`, //nolint:gosec // numbers alone
		width, sparkHeight, width, sparkHeight, total, len(counts), highest, bars.String()))
}
