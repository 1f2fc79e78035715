package audit

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rows that are in the same place for the same reason have one cause, and are one finding: a topic
// that was deleted is not 23 of them.

// origin is what rows of one cause have in common.
type origin struct{ database, topic string }

type group struct {
	rows []row
	age  time.Duration // of the oldest
}

type groups map[origin]*group

func (g groups) add(w row, age time.Duration) {
	at := origin{w.Database, w.Topic}
	if g[at] == nil {
		g[at] = &group{}
	}
	g[at].rows = append(g[at].rows, w)
	g[at].age = max(g[at].age, age)
}

// each calls found for each group, its rows in the order of their ids.
func (g groups) each(found func(o origin, c *group)) {
	for o, c := range g {
		slices.SortFunc(c.rows, func(a, b row) int { return int(a.ID - b.ID) })
		found(o, c)
	}
}

// subject names one row, or the first and the last of several.
func (c group) subject() string {
	first, last := c.rows[0], c.rows[len(c.rows)-1]
	if len(c.rows) == 1 {
		return first.subject()
	}
	return fmt.Sprintf("%d outbox rows of %s from %d to %d", len(c.rows), first.Database, first.ID, last.ID)
}

// what names the messages: one with its key, or several by their types.
func (c group) what() string {
	if len(c.rows) == 1 {
		return fmt.Sprintf("%s for key %q", c.rows[0].Type, c.rows[0].Key)
	}
	types := map[string]bool{}
	for _, w := range c.rows {
		types[w.Type] = true
	}
	return fmt.Sprint(slices.Sorted(maps.Keys(types)))
}

// replay sends them again, and what is between them: consumers know what they have handled.
func (c group) replay() string { return repairReplayRows(c.rows[0], c.rows[len(c.rows)-1]) }

func (g groups) lost(r *results) {
	g.each(func(o origin, c *group) {
		r.findMany(Delivered, len(c.rows), c.subject(), c.replay(), "%s counts as published, and is not on %s", c.what(), o.topic)
	})
}

func (g groups) waiting(r *results) {
	g.each(func(_ origin, c *group) {
		r.findMany(Delivered, len(c.rows), c.subject(), repairPending(c.rows[0]), "%s waits to be published since %s", c.what(), round(c.age))
	})
}

func (g groups) unhandled(r *results) {
	g.each(func(o origin, c *group) {
		r.findMany(Handled, len(c.rows), c.subject(), c.replay(), "%s is on %s since %s, and %s has not handled it",
			c.what(), o.topic, round(c.age), consumers[o.topic].group)
	})
}
