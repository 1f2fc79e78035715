// Package report shows what a drill does while it runs, and what it has shown when it is over: a
// live view and a verdict for the terminal, and one HTML file with everything in it.
//
// The charts are drawn here and not by a plotting library: those write fixed colours into the SVG,
// and a report that is opened years later on somebody's dark screen has to be readable there, too.
// What a time line with shaded faults needs is two axes and a path.
package report
