// Package spark draws a series of counts as a small picture of bars, in SVG without a script.
package spark

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
	height           = 24
)

// Bars draws counts from left to right. A bar of anything can be seen, and one of nothing is a
// line. label says what is shown to those who cannot see it; at says what a bar is when it is
// pointed at, and may be nil.
func Bars(counts []int64, label string, at func(i int) string) template.HTML {
	if len(counts) == 0 {
		return ""
	}
	highest := slices.Max(counts)
	var bars strings.Builder
	for i, n := range counts {
		tall, class, title := int64(1), ` class="none"`, ""
		if n > 0 {
			tall, class = max(3, int64(float64(n)/float64(highest)*height)), ""
		}
		if at != nil {
			title = "<title>" + template.HTMLEscapeString(fmt.Sprintf("%d, %s", n, at(i))) + "</title>"
		}
		fmt.Fprintf(&bars, `<rect%s x="%d" y="%d" width="%d" height="%d">%s</rect>`, class, i*(barWidth+barGap), height-tall, barWidth, tall, title)
	}
	width := len(counts)*(barWidth+barGap) - barGap
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // numbers, and text that is escaped
		width, height, width, height, template.HTMLEscapeString(label), bars.String()))
}

// Fit makes at most n of many counts: of those that come together, the highest is kept.
func Fit(counts []int64, n int) []int64 {
	if len(counts) <= n {
		return counts
	}
	fitted := make([]int64, n)
	for i, c := range counts {
		at := i * n / len(counts)
		fitted[at] = max(fitted[at], c)
	}
	return fitted
}
