// Package exitstatus is what the commands of this repository exit with: 0, 1 or 2, so that a script
// need not know which of them it has called.
package exitstatus

import (
	"errors"
	"os"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	// Failed is for what was tried and did not succeed, or was refused.
	Failed = 1
	// Usage is for a command line, or settings, that are wrong: nothing was tried.
	Usage = 2
)

// Exit ends the process with the status that kong proposes, but with [Usage] for its 80. It is for
// [kong.Exit].
func Exit(status int) { os.Exit(min(status, Usage)) }

// Of returns the status for the error of a command that kong has parsed and run.
func Of(err error) int {
	_, usage := errors.AsType[*kong.ParseError](err)
	switch {
	case err == nil:
		return 0
	case usage:
		return Usage
	}
	return Failed
}
