package admin

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Check looks at the Authorization header of a request from a remote host:port, and returns its
// token's holder. Without one it is an [ErrUnknown], an [ErrExpired], a [*TooManyError], or says
// why it cannot be known now; it was logged and counted as a refusal of the operation. It is what
// [Guard] does for doors that are not huma's.
func (t Tokens) Check(ctx context.Context, remote, header, operation string) (Holder, error) {
	if t.optional && header == "" {
		return Holder{Role: Operator}, nil
	}
	holder, err := t.check(ctx, remote, header)
	if err != nil {
		t.refused.record(remote, operation)
	}
	return holder, err
}

func (t Tokens) check(ctx context.Context, remote, header string) (Holder, error) {
	if t.guesses == nil { // there is none
		return Holder{}, ErrUnknown
	}
	if wait := t.guesses.blocked(remote, time.Now()); wait > 0 {
		return Holder{}, &TooManyError{wait}
	}
	scheme, token, _ := strings.Cut(header, " ")
	holder, err := t.identify(ctx, token)
	if err == nil && !strings.EqualFold(scheme, "Bearer") {
		err = ErrUnknown
	}
	if errors.Is(err, ErrUnknown) && header != "" {
		t.guesses.wrong(remote, time.Now())
	}
	if err != nil {
		return Holder{}, err
	}
	return holder, nil
}

// Holder returns who has a token that this process has looked at before, and knows to be no guess:
// it is neither slowed down nor counted.
func (t Tokens) Holder(ctx context.Context, token string) (Holder, error) {
	return t.identify(ctx, token)
}

// Setting is the name of the environment variable that the tokens are from.
func (t Tokens) Setting() string { return t.setting }
