package admin

import "time"

// Check looks at the Authorization header of a request from a remote host:port, and returns the
// name of its token's holder. ok says that it is let in; wait is how long the address has to wait
// until its next token is looked at, where too many were wrong. It is what [Guard] does for doors
// that are not huma's.
func (t Tokens) Check(remote, header string) (holder string, wait time.Duration, ok bool) {
	if t.optional && header == "" {
		return "", 0, true
	}
	if wait := t.guesses.blocked(remote, time.Now()); wait > 0 {
		return "", wait, false
	}
	if holder, ok = t.holder(header); !ok && header != "" {
		t.guesses.wrong(remote, time.Now())
	}
	return holder, 0, ok
}
