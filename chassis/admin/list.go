package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"waybill.example/chassis/config"
	"waybill.example/chassis/terminal"
)

type namedToken struct {
	Holder
	hash [sha256.Size]byte
}

// minToken is how many characters a token has at least. At the 8,500 guesses per second that one
// client has been seen to make, 16 lower-case letters last longer than the universe has; 8 digits
// last 3 hours.
const minToken = 16

// list is the tokens of a setting. Those of a file are read again when it changes.
type list struct {
	setting string
	unsaid  Role         // of a token whose name says none
	file    *config.File // nil: the setting has the tokens itself
	refused *refused

	mu    sync.Mutex
	named []namedToken
	text  string // of the file, as it was last looked at
	fault string // what was last wrong with it
}

func newList(setting string, named []namedToken, unsaid Role) *list {
	l := &list{setting: setting, unsaid: unsaid, named: named, file: config.FileOf(setting), refused: &refused{}}
	if l.file != nil {
		l.text, _ = l.file.Text() // config.Load has reported the fault
	}
	return l
}

// tokens returns those that hold now. While a file cannot be read, or what it holds is invalid,
// they are those of before: a slip in a file must lock nobody out.
func (l *list) tokens() []namedToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.named
	}
	text, err := l.file.Text()
	if err == nil && text != l.text {
		l.text = text
		var named []namedToken
		if named, err = parse(l.setting, config.Pairs(text), l.unsaid); err == nil {
			l.named, l.fault = named, ""
			l.refused.reread(l.setting, len(named))
			return l.named
		}
	}
	if err != nil && err.Error() != l.fault {
		l.fault = err.Error()
		l.refused.unreadable(err)
	}
	return l.named
}

// empty reports whether nobody has a token, now or later: a file may get some.
func (l *list) empty() bool { return l.file == nil && len(l.named) == 0 }

// Identify implements [Identifier], in the same time for all tokens.
func (l *list) Identify(_ context.Context, token string) (Holder, error) {
	hash := sha256.Sum256([]byte(token))
	var holder Holder
	err := ErrUnknown
	for _, n := range l.tokens() {
		if subtle.ConstantTimeCompare(n.hash[:], hash[:]) == 1 {
			holder, err = n.Holder, nil
		}
	}
	return holder, err
}

func parse(setting string, pairs []string, unsaid Role) (tokens []namedToken, err error) {
	var faults []error
	for i, pair := range pairs {
		name, token, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" || !terminal.Plain(name) || len(token) < minToken {
			faults = append(faults, fmt.Errorf("%s: pair %d must be name=token, with a token of %d characters or more", setting, i+1, minToken))
			continue
		}
		name, role, err := splitRole(name, unsaid)
		if err != nil || name == "" {
			faults = append(faults, fmt.Errorf("%s: pair %d: %w", setting, i+1, cmp.Or(err, errNameless)))
			continue
		}
		next := namedToken{Holder{name, role}, sha256.Sum256([]byte(token))}
		if slices.ContainsFunc(tokens, func(n namedToken) bool { return n.Name == next.Name || n.hash == next.hash }) {
			faults = append(faults, fmt.Errorf("%s: pair %d has the name or the token of an earlier one", setting, i+1))
			continue
		}
		tokens = append(tokens, next)
	}
	return tokens, errors.Join(faults...)
}

var errNameless = errors.New("a role needs a name before its colon")
