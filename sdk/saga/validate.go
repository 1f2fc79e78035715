package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// validate reports everything that would keep a saga from ending or leave an
// effect that nothing takes back.
func (d *Definition) validate() error {
	faults := slices.Clone(d.written)
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
	faults = append(faults, d.validateAttributes()...)
	faults = append(faults, d.validateWithin()...)
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
		if i, ok := d.awaited[r.message]; ok && d.steps[i] != s {
			faults = append(faults, fmt.Errorf("%q is awaited by step %q: each event is for one step", r.message, d.steps[i].name))
		}
	}
	if s.undo != nil {
		check(s.undo.reply)
		if i, ok := d.awaited[s.undo.reply]; ok {
			faults = append(faults, fmt.Errorf("the undo's reply %q is awaited by step %q", s.undo.reply, d.steps[i].name))
		}
	}
	return faults
}

func (d *Definition) validateAttributes() []error {
	var faults []error
	seen := map[string]bool{}
	for _, a := range d.attributes {
		if a.name == "" || strings.ContainsFunc(a.name, func(r rune) bool { return r == '=' || r <= ' ' }) || seen[a.name] {
			faults = append(faults, fmt.Errorf("attribute %q: each needs a name of its own, without spaces and equals signs", a.name))
		}
		if a.value == nil {
			faults = append(faults, fmt.Errorf("attribute %q: needs a value", a.name))
		}
		seen[a.name] = true
	}
	return faults
}

// validateWithin refuses a deadline of the whole saga that a saga can miss of which each step is
// done in its first attempt.
func (d *Definition) validateWithin() []error {
	if d.within == nil {
		return nil
	}
	var faults []error
	if d.within.reason == "" {
		faults = append(faults, errors.New("Within needs the reason that it leaves"))
	}
	var needs time.Duration
	for _, stage := range d.stages {
		var longest time.Duration
		for _, i := range stage {
			longest = max(longest, d.steps[i].wait.Timeout)
		}
		needs += longest
	}
	if d.within.after <= 0 || d.within.after < needs {
		faults = append(faults, fmt.Errorf("Within %s is shorter than its steps may take if each is done in its first attempt: %s",
			short(d.within.after), short(needs)))
	}
	return faults
}

// checkConditions tries the conditions on data that is empty, as data can be: one that panics there
// would keep its saga from going on. Data that has nothing in it decides nothing.
func (d *Definition) checkConditions(empty json.RawMessage, hasFields bool) {
	for _, s := range d.steps {
		if s.needed == nil {
			continue
		}
		if !hasFields {
			d.written = append(d.written, fmt.Errorf("step %q: If decides by data, and the saga has none", s.name))
			continue
		}
		if err := tryCondition(s.needed, empty); err != nil {
			d.written = append(d.written, fmt.Errorf("step %q: If on empty data: %w", s.name, err))
		}
	}
}

func tryCondition(needed func(json.RawMessage) (bool, error), data json.RawMessage) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("%w: %v", ErrPanicked, what)
		}
	}()
	_, err = needed(data)
	return err
}

func (s *step) validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch s.action {
	case nothing:
		fault("does nothing: call Send, Tell, Await or After, or AlreadyDone with who has done it")
	case asks:
		faults = append(faults, s.validateCommand()...)
	case awaits:
		faults = append(faults, s.validateEvent()...)
	case done, tells, letsPass:
		faults = append(faults, s.validateSilent()...)
	}
	if s.action == letsPass {
		return faults
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

// validateSilent is for what waits for no message.
func (s *step) validateSilent() []error {
	var faults []error
	if len(s.replies) > 0 || s.action != letsPass && s.wait.Timeout != 0 {
		faults = append(faults, errors.New("waits for a reply to a command that it does not send, or only tells"))
	}
	switch {
	case s.action == done && s.alreadyDone == "":
		faults = append(faults, errors.New("AlreadyDone needs who has done it"))
	case s.action == done && s.undo == nil:
		faults = append(faults, errors.New("neither does nor undoes anything"))
	case s.action == tells && (s.command.message == "" || s.command.build == nil):
		faults = append(faults, errors.New("Tell needs a command and its body"))
	case s.action == letsPass && s.after <= 0:
		faults = append(faults, fmt.Errorf("After %s: it must be positive", s.after))
	case s.action == letsPass && (s.undo != nil || s.noUndo != ""):
		faults = append(faults, errors.New("lets time pass: there is nothing to undo"))
	}
	return faults
}

// validateEvent is for a step that awaits an event.
func (s *step) validateEvent() []error {
	faults, ok := s.validateReplies()
	if !ok {
		faults = append(faults, errors.New("can never succeed: Await needs the event"))
	}
	switch {
	case s.wait.Timeout == 0:
		faults = append(faults, errors.New("awaits an event without a deadline: call Within"))
	case s.giveUp == "":
		faults = append(faults, errors.New("Within needs the reason that giving up leaves"))
	case s.wait.Timeout < 0:
		faults = append(faults, fmt.Errorf("deadline of %v: it must be positive", s.wait.Timeout))
	}
	return faults
}

func (s *step) validateCommand() []error {
	var faults []error
	if s.command.message == "" || s.command.build == nil {
		faults = append(faults, errors.New("Send needs a command and its body"))
	}
	more, ok := s.validateReplies()
	faults = append(faults, more...)
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

// validateReplies says also whether one of them is a success.
func (s *step) validateReplies() (faults []error, ok bool) {
	seen := map[string]bool{}
	for _, r := range s.replies {
		if r.message == "" || seen[r.message] {
			faults = append(faults, fmt.Errorf("reply %q: each reply needs a type of its own", r.message))
		}
		seen[r.message] = true
		ok = ok || r.verdict == succeeded && r.message != ""
	}
	return faults, ok
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
