package sagasim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"waybill.example/sdk/saga"
)

// Coverage counts how often each move of the definitions was made: from one phase to another, and
// of each step from one status to another. It is safe to add to while nobody else does.
type Coverage struct {
	described map[*saga.Definition]saga.Description
	byVersion map[version]*saga.Definition
	taken     map[move]int
}

type version struct {
	definition string
	version    int
}

// move is a change of a saga's phase, or of a step's status.
type move struct {
	version
	step     string
	from, to string
}

func (m move) String() string {
	name := fmt.Sprintf("%s v%d", m.definition, m.version.version)
	if m.step != "" {
		name += " " + m.step
	}
	return fmt.Sprintf("%s: %s → %s", name, cmp.Or(m.from, "·"), cmp.Or(m.to, "·"))
}

func newCoverage(releases [][]*saga.Definition) *Coverage {
	c := &Coverage{
		described: map[*saga.Definition]saga.Description{}, byVersion: map[version]*saga.Definition{}, taken: map[move]int{},
	}
	for _, release := range releases {
		for _, d := range release {
			if _, known := c.described[d]; !known {
				c.described[d] = d.Describe()
				c.byVersion[version{d.Name(), d.Version()}] = d
			}
		}
	}
	return c
}

func (c *Coverage) find(s saga.State) (*saga.Definition, bool) {
	d, ok := c.byVersion[version{s.Definition, s.Version}]
	return d, ok
}

func (c *Coverage) take(before, after saga.State, t saga.Transition) {
	v := version{after.Definition, after.Version}
	if t.Kind == saga.TimedOut && t.Step == "" && before.Phase == saga.Running {
		c.taken[move{v, "the whole", string(before.Phase), "overdue"}]++
	}
	if before.Phase != after.Phase {
		c.taken[move{version: v, from: string(before.Phase), to: string(after.Phase)}]++
	}
	d, ok := c.find(after)
	if !ok || len(after.Steps) != len(d.StepNames()) {
		return
	}
	for i, name := range d.StepNames() {
		var was saga.StepState
		if i < len(before.Steps) {
			was = before.Steps[i]
		}
		is := after.Steps[i]
		if was.Status != is.Status || was.Attempt != is.Attempt || was.Undo != is.Undo {
			c.taken[move{v, name, string(was.Status), string(is.Status)}]++
		}
	}
}

// Add adds what another run has taken, of the same or of other definitions.
func (c *Coverage) Add(o *Coverage) {
	maps.Copy(c.described, o.described)
	maps.Copy(c.byVersion, o.byVersion)
	for m, n := range o.taken {
		c.taken[m] += n
	}
}

// Taken lists the moves that were made, and how often.
func (c *Coverage) Taken() []string {
	var lines []string
	for m, n := range c.taken {
		lines = append(lines, fmt.Sprintf("%s (%d)", m, n))
	}
	slices.Sort(lines)
	return lines
}

// Missed lists the moves that the definitions allow and that were never made, of the versions of
// which a saga ran.
func (c *Coverage) Missed() []string {
	var missed []string
	for _, v := range slices.SortedFunc(maps.Keys(c.byVersion), func(a, b version) int {
		return cmp.Or(strings.Compare(a.definition, b.definition), cmp.Compare(a.version, b.version))
	}) {
		if !c.seen(v) {
			continue
		}
		for _, m := range expected(v, c.described[c.byVersion[v]]) {
			if c.taken[m] == 0 {
				missed = append(missed, m.String())
			}
		}
	}
	return missed
}

// seen says whether a saga of a version ran.
func (c *Coverage) seen(v version) bool {
	for m := range c.taken {
		if m.version == v && m.to == string(saga.Running) {
			return true
		}
	}
	return false
}

// expected are the moves that a definition allows.
func expected(v version, d saga.Description) []move {
	var moves []move
	add := func(step string, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			moves = append(moves, move{v, step, pairs[i], pairs[i+1]})
		}
	}
	add("", "", string(saga.Running), string(saga.Running), string(saga.Completed))
	undoable := false
	for _, stage := range d.Stages {
		for _, step := range stage {
			undoable = undoable || step.Undo != nil || len(step.Failure) > 0
			for _, m := range expectedOf(step) {
				add(step.Name, string(m[0]), string(m[1]))
			}
		}
	}
	if undoable {
		add("", string(saga.Running), string(saga.Compensating), string(saga.Compensating), string(saga.Cancelled),
			string(saga.Compensating), string(saga.CompensationStuck))
	}
	if d.Within != "" {
		add("the whole", string(saga.Running), "overdue")
	}
	if d.CancelOn != "" {
		add("", string(saga.Completed), string(saga.Compensating), "", string(saga.AwaitingStart),
			string(saga.AwaitingStart), string(saga.Compensating))
	}
	return moves
}

// moves of a step's status.
type moves [][2]saga.StepStatus

func expectedOf(step saga.StepDescription) moves {
	all := forward(step)
	if step.Conditional {
		all = append(all, moves{{saga.Idle, saga.Skipped}}...)
	}
	if len(step.Failure) > 0 {
		all = append(all, moves{{saga.Waiting, saga.Failed}}...)
	}
	if step.Undo != nil {
		all = append(all, back(step)...)
	}
	return all
}

// forward are the moves while the saga goes forward, or compensation begins.
func forward(step saga.StepDescription) moves {
	switch step.Does {
	case saga.DoesNothing, saga.Tells:
		return moves{{saga.Idle, saga.Done}}
	case saga.LetsTimePass:
		return moves{{saga.Idle, saga.Waiting}, {saga.Waiting, saga.Done}, {saga.Waiting, saga.Skipped}}
	case saga.Awaits:
		all := moves{{saga.Idle, saga.Waiting}, {saga.Waiting, saga.Done}, {saga.Waiting, saga.Skipped}, {saga.Waiting, saga.GivenUp}, {saga.Idle, saga.Done}}
		if len(step.Failure) > 0 {
			all = append(all, moves{{saga.Idle, saga.Failed}}...)
		}
		return all
	case saga.Asks:
	}
	return moves{{saga.Idle, saga.Waiting}, {saga.Waiting, saga.Waiting}, {saga.Waiting, saga.Done}}
}

// back are the moves that undo the step.
func back(step saga.StepDescription) moves {
	all := moves{{saga.Done, saga.Undoing}, {saga.Undoing, saga.Undone}}
	switch step.Does {
	case saga.Asks:
		return append(all, moves{{saga.Undoing, saga.Undoing}, {saga.Waiting, saga.Undoing}}...)
	case saga.Awaits: // an event that comes after compensation has begun
		return append(all, moves{{saga.Undoing, saga.Undoing}, {saga.Skipped, saga.Undoing}, {saga.GivenUp, saga.Undoing}}...)
	case saga.Tells:
		return append(all, moves{{saga.Undoing, saga.Undoing}}...)
	case saga.DoesNothing, saga.LetsTimePass:
	}
	return all
}
