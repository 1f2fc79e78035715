package saga

import (
	"errors"
	"fmt"
	"strings"
)

// validate reports everything that would keep a saga from ending or leave an
// effect that nothing takes back.
func (d *Definition) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if d.name == "" {
		fault("has no name")
	}
	if d.version < 1 {
		fault("version %d: versions count from 1", d.version)
	}
	if d.start.message == "" || d.start.data == nil {
		fault("no message starts it: call StartOn")
	}
	if d.cancel != nil && (d.cancel.message == "" || d.cancel.window < 0) {
		fault("CancelOn needs a message and a window that is not negative")
	}
	if d.cancel != nil && d.cancel.refuse != nil && (d.cancel.refuse.message == "" || d.cancel.refuse.build == nil) {
		fault("RefuseCancel needs a command and its body")
	}
	if len(d.steps) == 0 {
		fault("has no steps")
	}
	faults = append(faults, d.validateEnds()...)
	names := map[string]bool{}
	for _, s := range d.steps {
		if s.name == "" || names[s.name] {
			fault("step %q: each step needs a name of its own", s.name)
		}
		names[s.name] = true
		for _, err := range append(s.validate(), d.validateRoles(s)...) {
			fault("step %q: %w", s.name, err)
		}
	}
	return errors.Join(faults...)
}

func (d *Definition) validateEnds() []error {
	var faults []error
	if d.completed == d.cancelled {
		faults = append(faults, fmt.Errorf("both ends are called %q", d.completed))
	}
	for _, end := range []string{d.completed, d.cancelled} {
		for _, phase := range []Phase{Running, Compensating, CompensationStuck, Suspended, AwaitingStart, NotStarted} {
			if end == "" || strings.EqualFold(end, string(phase)) {
				faults = append(faults, fmt.Errorf("an end cannot be called %q", end))
			}
		}
	}
	return faults
}

// validateRoles keeps a message from meaning two things: a start or a
// cancellation that is a reply as well could not be told apart.
func (d *Definition) validateRoles(s *step) []error {
	var faults []error
	check := func(message string) {
		if message == d.start.message || d.cancel != nil && message == d.cancel.message {
			faults = append(faults, fmt.Errorf("reply %q also starts or cancels the saga", message))
		}
	}
	for _, r := range s.replies {
		check(r.message)
	}
	if s.undo != nil {
		check(s.undo.reply)
	}
	return faults
}

func (s *step) validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch {
	case s.command == nil && s.alreadyDone == "":
		fault("sends nothing: call Send, or AlreadyDone with who has done it")
	case s.command != nil && s.alreadyDone != "":
		fault("has both a command and AlreadyDone")
	case s.command == nil:
		if len(s.replies) > 0 || s.wait.Timeout != 0 {
			fault("waits for a reply to a command it does not send")
		}
		if s.undo == nil {
			fault("neither does nor undoes anything")
		}
	default:
		faults = append(faults, s.validateCommand()...)
	}
	if s.undo == nil && s.noUndo == "" {
		fault("has no compensation: call Undo, or NoUndo with the reason why not")
	}
	if s.undo != nil && s.noUndo != "" {
		fault("has both Undo and NoUndo")
	}
	if s.undo != nil {
		if s.undo.message == "" || s.undo.build == nil || s.undo.reply == "" {
			fault("undo needs a command, its body and the reply that ends it")
		}
		for _, err := range s.undo.wait.validate() {
			fault("undo: %w", err)
		}
	}
	return faults
}

func (s *step) validateCommand() []error {
	var faults []error
	if s.command.message == "" || s.command.build == nil {
		faults = append(faults, errors.New("Send needs a command and its body"))
	}
	seen, ok := map[string]bool{}, false
	for _, r := range s.replies {
		if r.message == "" || seen[r.message] {
			faults = append(faults, fmt.Errorf("reply %q: each reply needs a type of its own", r.message))
		}
		seen[r.message] = true
		ok = ok || r.verdict == succeeded
	}
	if !ok {
		faults = append(faults, errors.New("can never succeed: no reply is a Success"))
	}
	if s.wait.Timeout == 0 {
		return append(faults, errors.New("waits without a deadline: call Wait or RetryForever"))
	}
	if !s.forever && s.giveUp == "" {
		faults = append(faults, errors.New("Wait needs the reason that giving up leaves"))
	}
	return append(faults, s.wait.validate()...)
}

func (p RetryPolicy) validate() []error {
	var faults []error
	if p.Timeout <= 0 {
		faults = append(faults, fmt.Errorf("deadline of %v: it must be positive", p.Timeout))
	}
	if p.MaxAttempts < 1 {
		faults = append(faults, fmt.Errorf("%d attempts: at least one is needed", p.MaxAttempts))
	}
	if p.Backoff < 1 {
		faults = append(faults, fmt.Errorf("backoff factor %v: it must be at least 1", p.Backoff))
	}
	if p.MaxInterval < p.Timeout {
		faults = append(faults, fmt.Errorf("longest wait %v is shorter than the first, %v", p.MaxInterval, p.Timeout))
	}
	if p.Jitter > 1 {
		faults = append(faults, fmt.Errorf("jitter %v: it must be between 0 and 1", p.Jitter))
	}
	return faults
}
