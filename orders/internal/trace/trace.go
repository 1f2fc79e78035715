// Package trace carries W3C Trace Context through the service, from what it received to what it
// sends, without taking part in it.
package trace

import "regexp"

var parent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Parent returns a received traceparent if it is one (W3C Trace Context, section 3.2), and ""
// otherwise: what others made up goes no further.
func Parent(received string) string {
	if parent.MatchString(received) {
		return received
	}
	return ""
}
