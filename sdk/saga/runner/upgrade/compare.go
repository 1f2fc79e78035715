package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"waybill.example/sdk/saga"
)

const versionsSQL = `select name, version, fingerprint, structure from saga_definitions order by name, version`

// compare holds each version of this program against what it was when it was run.
func (c *check) compare(ctx context.Context, tx pgx.Tx) error {
	c.changed = map[version][]change{}
	rows, _ := tx.Query(ctx, versionsSQL) //nolint:rowserrcheck // ForEachRow returns its error
	var v version
	var fingerprint string
	var structure []byte
	_, err := pgx.ForEachRow(rows, []any{&v.name, &v.number, &fingerprint, &structure}, func() error {
		def, registered := c.registry.Definition(v.name, v.number)
		if !registered || def.Fingerprint() == fingerprint {
			return nil
		}
		c.changed[v] = []change{{what: "the version was changed under its number: this program refuses to start; keep it as it was, and make this one another version"}}
		var was saga.Description
		if json.Unmarshal(structure, &was) == nil { // versions from before it was kept have none
			c.changed[v] = append(c.changed[v], differences(was, def.Describe())...)
		}
		return nil
	})
	return err
}

// change is what differs between a version and what it was.
type change struct {
	step  string
	index int
	what  string
	// Of these, whatever is set makes a saga that is concerned by it hang, leak or contradict.
	reply, undo string
	moved       bool
}

// consequence says what a change does to a saga.
func (c change) consequence(s saga.State) (Kind, string, bool) {
	if c.step == "" || c.index >= len(s.Steps) {
		return Park, c.what, c.step == ""
	}
	st := s.Steps[c.index]
	waits := st.Status == saga.Waiting || st.Status == saga.Undoing
	switch {
	case c.undo != "" && (st.Status == saga.Done || st.Status == saga.GivenUp || waits):
		return Leak, fmt.Sprintf("%s, and it was or may be done: nothing would take it back", c.what), true
	case c.reply != "" && st.Status == saga.Waiting:
		return Hang, fmt.Sprintf("%s, and it waits for that: the reply would be ignored", c.what), true
	case c.moved && st.Status != saga.Idle:
		return Contradict, fmt.Sprintf("%s, and it has begun: its commands and replies would be another step's", c.what), true
	}
	return "", "", false
}

// differences are those between the steps of a version and what they were, by position.
func differences(was, is saga.Description) []change {
	before, after := slices.Concat(was.Stages...), slices.Concat(is.Stages...)
	var list []change
	for i, old := range before {
		add := func(c change) { c.step, c.index = old.Name, i; list = append(list, c) }
		if i >= len(after) {
			add(change{what: fmt.Sprintf("step %q is gone", old.Name), moved: true})
			continue
		}
		now := after[i]
		switch {
		case now.Name != old.Name:
			add(change{what: fmt.Sprintf("step %q is called %q now", old.Name, now.Name), moved: true})
		case now.Does != old.Does || now.Command != old.Command:
			add(change{what: fmt.Sprintf("step %q sends or awaits something else now", old.Name), moved: true})
		}
		known := slices.Concat(now.Success, now.Failure, now.RetryLater)
		for _, reply := range slices.Concat(old.Success, old.Failure, old.RetryLater) {
			if !slices.Contains(known, reply) {
				add(change{what: fmt.Sprintf("step %q does not know the reply %s any more", old.Name, reply), reply: reply})
			}
		}
		if old.Undo != nil && (now.Undo == nil || now.Undo.Command != old.Undo.Command) {
			add(change{what: fmt.Sprintf("step %q lost its undo %s", old.Name, old.Undo.Command), undo: old.Undo.Command})
		}
	}
	for _, added := range after[min(len(before), len(after)):] {
		list = append(list, change{what: fmt.Sprintf("step %q is new", added.Name)})
	}
	if was.Completed != is.Completed || was.Cancelled != is.Cancelled || was.StartOn != is.StartOn {
		list = append(list, change{what: "its start or its ends have other names: " + strings.Join([]string{is.StartOn, is.Completed, is.Cancelled}, ", ")})
	}
	return list
}
