// Package browsertest tries the console in a real browser, Chromium, on a whole stack of Waybill.
// All of it is in its tests: one stack and one browser for all screens (main_test.go), a tab to
// look at them (tab_test.go), and a file of tests for each screen. Without Chromium they are
// skipped; CI installs it (.ci/setup).
package browsertest
