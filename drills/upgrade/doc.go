// Package upgrade holds what docs/upgrading.md promises: its test goes from an earlier revision to
// this one under load, as a rolling upgrade does, and back.
package upgrade
