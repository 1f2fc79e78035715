package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Readable says what of a stored saga this definition cannot make sense of: steps that do not fit,
// data that does not decode, a condition or the body of a command that fails on it. It tries what
// may be sent next: the commands of what waits, and the undo of what was done or may have been.
func (d *Definition) Readable(s State) error {
	if len(s.Steps) != len(d.steps) {
		return fmt.Errorf("%w: it has %d steps, not %d", ErrWrongDefinition, len(s.Steps), len(d.steps))
	}
	if s.Phase == AwaitingStart || s.SuspendedFrom == AwaitingStart || s.Phase == NotStarted {
		return nil
	}
	if err := d.fits(s.Data); err != nil {
		return fmt.Errorf("its data does not decode: %w", err)
	}
	var faults []error
	for i, step := range d.steps {
		if err := step.readable(s, s.Steps[i]); err != nil {
			faults = append(faults, fmt.Errorf("step %q: %w", step.name, err))
		}
	}
	for _, m := range s.Held {
		if !d.handles[m.Type] {
			faults = append(faults, fmt.Errorf("%s, which is held for it, is known no more", m.Type))
		}
	}
	return errors.Join(faults...)
}

func (s *step) readable(of State, st StepState) error {
	waits := st.Status == Waiting || st.Status == Undoing
	switch {
	case waits && s.action != asks && s.action != awaits && s.action != letsPass && st.Status == Waiting:
		return errors.New("it waits, and the step waits for nothing")
	case st.Status == Waiting && s.action == asks && len(st.Sent) == 0, st.Status == Undoing && len(st.UndoSent) == 0:
		return errors.New("it waits for the answer to a command that was not sent")
	case st.Status == Undoing && s.undo == nil:
		return errors.New("it is being undone, and the step has no undo")
	case st.Status == Idle && s.needed != nil:
		return tryCondition(s.needed, of.Data)
	}
	if st.Status == Waiting && s.action == asks {
		if err := s.command.tryBuild(of); err != nil {
			return err
		}
	}
	if s.undo != nil && (waits || st.Status == Done || st.Status == GivenUp) {
		return s.undo.tryBuild(of)
	}
	return nil
}

// tryBuild makes the body of a command, as if it were sent now.
func (c *command) tryBuild(s State) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("build %s: %w: %v", c.message, ErrPanicked, what)
		}
	}()
	body, err := c.build(call{saga: s.ID, id: uuid.NewSHA1(uuid.Nil, []byte(s.ID)), at: s.UpdatedAt, attempt: 1, reason: s.Reason, data: s.Data})
	if err == nil {
		_, err = json.Marshal(body)
	}
	if err != nil {
		return fmt.Errorf("build %s: %w", c.message, err)
	}
	return nil
}

// Exploration is what the futures of a saga came to.
type Exploration struct {
	States   int // distinct ones that were reached
	Problems []Problem
	// Truncated says that there are more states than were looked at.
	Truncated bool
}

// Problem is a future of a saga that must not be.
type Problem struct {
	// Kind is hang, leak or contradict.
	Kind string
	What string
	// Path is how the saga comes to it, a message or a deadline each.
	Path []string
}

// Likeness is the same for two sagas of this definition whose futures have the same shape: where
// each step stands, what was sent how often, and what the conditions say of their data. Ids, times
// and the rest of the data are left out.
func (d *Definition) Likeness(s State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s %d %t %t %t", s.Phase, s.SuspendedFrom, s.Stage, s.CancelAsked, s.CancelRefused, s.CompleteBy.IsZero())
	for i, st := range s.Steps {
		asked, undone := 0, 0
		if i < len(d.steps) {
			asked = min(st.Attempt-st.Budget, d.steps[i].wait.MaxAttempts+1)
			if u := d.steps[i].undo; u != nil {
				undone = min(st.Undo-st.Budget, u.wait.MaxAttempts+1)
			}
		}
		b.WriteString(";" + string(st.Status) + "," + strconv.Itoa(asked) + "," + strconv.Itoa(undone))
		for _, flag := range []bool{st.Attempt > 1, st.Unconfirmed, st.LateSuccess, st.Stuck, st.Deadline.IsZero()} {
			b.WriteString(strconv.FormatBool(flag)[:1])
		}
		if i < len(d.steps) && d.steps[i].needed != nil && st.Status == Idle {
			yes, err := d.steps[i].needed(s.Data)
			fmt.Fprintf(&b, "?%t%t", yes, err == nil)
		}
	}
	return b.String()
}

// Explore tries what may happen to a saga from now on, up to limit distinct states: each reply to
// each command that was sent, late ones and those of steps that were given up included, each event,
// a cancellation, and each deadline. It says which of these futures never end, which end with
// something done that nothing takes back, and which the engine refuses. What replies say, and the
// bodies of commands, are left out: [Definition.Readable] is about those.
func (d *Definition) Explore(s State, now time.Time, limit int) Exploration {
	e := explorer{d: d.silent(), seen: map[string]int{}, limit: limit, now: now}
	s.resumed(now)
	s.Held, s.Early = nil, nil
	e.visit(s, -1, "")
	for n := 0; n < len(e.nodes); n++ {
		e.expand(n)
	}
	e.hangs()
	return Exploration{States: len(e.nodes), Problems: e.problems, Truncated: e.truncated}
}

// silent is a definition whose functions see nothing of what messages say, and whose commands are
// empty.
func (d *Definition) silent() *Definition {
	c := d.clone()
	empty := func(call) (any, error) { return nil, nil } //nolint:nilnil // an empty body
	for _, s := range c.steps {
		for i := range s.replies {
			s.replies[i].keep, s.replies[i].reason = nil, nil
		}
		if s.command != nil {
			s.command.build = empty
		}
		if s.undo != nil {
			s.undo.build = empty
		}
	}
	if c.cancel != nil {
		c.cancel.reason = nil
		if c.cancel.refuse != nil {
			c.cancel.refuse.build = empty
		}
	}
	c.attributes = nil
	return c
}

// explorer walks the graph of a saga's states.
type explorer struct {
	d         *Definition
	now       time.Time
	limit     int
	seen      map[string]int
	nodes     []node
	problems  []Problem
	truncated bool
}

type node struct {
	state State
	from  int // the node that it was reached from first
	by    string
	next  []int
}

// visit returns the node of a state; -1 if there are too many.
func (e *explorer) visit(s State, from int, by string) int {
	key := e.d.Likeness(s)
	if n, known := e.seen[key]; known {
		return n
	}
	if len(e.nodes) >= e.limit {
		e.truncated = true
		return -1
	}
	n := len(e.nodes)
	e.seen[key] = n
	e.nodes = append(e.nodes, node{state: s, from: from, by: by})
	if leak := e.d.leaves(s); leak != "" {
		e.problem("leak", leak, n)
	}
	return n
}

// expand follows everything that may happen in a state.
func (e *explorer) expand(n int) {
	s := e.nodes[n].state
	for _, p := range e.d.anything(s, e.now) {
		decision, err := e.d.Apply(s, p.in, p.at)
		if errors.Is(err, ErrUnknownSaga) {
			continue
		}
		if err != nil {
			e.problem("contradict", p.when+": "+err.Error(), n)
			continue
		}
		if !decision.Changed() {
			continue
		}
		if next := e.visit(decision.State, n, p.when); next >= 0 {
			e.nodes[n].next = append(e.nodes[n].next, next)
		}
	}
}

// anything is what may happen to a saga, likely or not.
func (d *Definition) anything(s State, now time.Time) []possibility {
	list := d.possible(s, now)
	message := func(messageType, step string, cause uuid.UUID) {
		list = append(list, possibility{messageType, step, Message{
			ID: uuid.NewSHA1(cause, []byte(messageType+step)), Type: messageType, Key: s.ID, CausationID: cause, Data: []byte("{}"), Time: now,
		}, now})
	}
	for i, step := range d.steps {
		if sent := s.Steps[i].Sent; s.Steps[i].Status != Waiting && len(sent) > 0 {
			for _, r := range step.replies {
				message(r.message, step.name, sent[len(sent)-1])
			}
		}
		if step.action == awaits && s.Steps[i].Status != Waiting {
			for _, r := range step.replies {
				message(r.message, step.name, uuid.Nil)
			}
		}
	}
	if d.cancel != nil && !s.CancelAsked && (s.Phase == Running || s.Phase == Completed) {
		message(d.cancel.message, "", uuid.Nil)
	}
	return list
}

// leaves says what an ended saga leaves behind that it must not.
func (d *Definition) leaves(s State) string {
	for i, st := range s.Steps {
		step := d.steps[i]
		switch {
		case s.Phase == Cancelled && st.Status == Done && step.hasUndo():
			return fmt.Sprintf("it ends %s, and %q is done and not undone", d.cancelled, step.name)
		case s.Phase == Completed && st.Status != Done && st.Status != Skipped && st.Status != Assumed:
			return fmt.Sprintf("it ends %s, and %q is %s", d.completed, step.name, describe(st.Status))
		}
	}
	return ""
}

// hangs finds the states from which no end can be reached.
func (e *explorer) hangs() {
	if e.truncated {
		return // what is beyond the bound may end
	}
	ends := make([]bool, len(e.nodes))
	for changed := true; changed; {
		changed = false
		for n := len(e.nodes) - 1; n >= 0; n-- {
			if ends[n] {
				continue
			}
			ends[n] = e.nodes[n].state.Phase.Ended()
			for _, next := range e.nodes[n].next {
				ends[n] = ends[n] || ends[next]
			}
			changed = changed || ends[n]
		}
	}
	for n, one := range e.nodes {
		if !ends[n] {
			e.problem("hang", fmt.Sprintf("it is %s, and nothing that may come ends it", one.state.Phase), n)
			return
		}
	}
}

func (e *explorer) problem(kind, what string, n int) {
	var path []string
	for ; n > 0; n = e.nodes[n].from {
		path = append([]string{e.nodes[n].by}, path...)
	}
	e.problems = append(e.problems, Problem{kind, what, path})
}
