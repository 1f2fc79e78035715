// Package report shows what drills and benchmarks have found.
//
//   - drills.go: one HTML file with what each drill has shown; live.go and table.go: the same on a
//     terminal, while a drill runs and when it is over
//   - figures.go: the figures of a benchmark, a line "name value unit" each, and their HTML file
//   - page.go, chart.go, ticks.go: the page and the charts that both are made of
//
// The charts are drawn here and not by a plotting library: those write fixed colours into the SVG,
// and a report that is opened years later on a dark screen has to be readable there, too. A time
// line with shaded faults needs two axes and a path.
package report
