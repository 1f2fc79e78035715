package admin

import "time"

// Check looks at the Authorization header of a request from a remote host:port, and returns its
// token's holder. ok says that it is let in; wait is how long the address has to wait until its
// next token is looked at, where too many were wrong. It is what [Guard] does for doors that are
// not huma's.
func (t Tokens) Check(remote, header string) (holder Holder, wait time.Duration, ok bool) {
	if t.optional && header == "" {
		return Holder{Role: Operator}, 0, true
	}
	if wait := t.guesses.blocked(remote, time.Now()); wait > 0 {
		return Holder{}, wait, false
	}
	if holder, ok = t.holder(header); !ok && header != "" {
		t.guesses.wrong(remote, time.Now())
	}
	return holder, 0, ok
}

// Holder returns who has a token that this process has looked at before, and knows to be no guess:
// it is neither slowed down nor counted.
func (t Tokens) Holder(token string) (Holder, bool) { return t.holder("Bearer " + token) }

// Setting is the name of the environment variable that the tokens are from.
func (t Tokens) Setting() string { return t.setting }
