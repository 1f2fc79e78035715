package diagram

import (
	"slices"

	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// Counted is how often each edge was gone by many sagas. count writes a number for people.
func Counted(d saga.Description, c inspect.Coverage, count func(int64) string) Overlay {
	edges, nodes, sent := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, s := range c.Sent {
		if s.Undo {
			sent["undo:"+s.Step] += s.Count
		} else {
			sent["step:"+s.Step] += s.Count
		}
	}
	steps := map[string]saga.StepDescription{}
	for _, stage := range d.Stages {
		for _, one := range stage {
			steps[one.Name] = one
		}
	}
	for _, h := range c.Transitions {
		step := steps[h.Step]
		switch {
		case h.Kind == string(saga.Started):
			edges["start"] += h.Count
			nodes["start"] += h.Count
		case slices.Contains(step.Success, h.CauseType) || h.Kind == string(saga.TimePassed):
			edges["ok:"+h.Step] += h.Count
		case slices.Contains(step.Failure, h.CauseType):
			edges["fail:"+h.Step] += h.Count
		case h.Kind == string(saga.TimedOut) && h.From == string(saga.Running) && h.To != h.From:
			edges["lost:"+h.Step] += h.Count
		case h.From == d.Completed && h.To != h.From:
			edges["cancel"] += h.Count
		}
		if h.To != h.From {
			switch h.To {
			case d.Completed:
				nodes["completed"] += h.Count
			case d.Cancelled:
				nodes["cancelled"] += h.Count
			}
		}
	}
	o := Overlay{Nodes: map[string]Mark{}, Edges: map[string]Mark{}}
	for name, step := range steps {
		switch {
		case step.Does == saga.DoesNothing && nodes["start"] > 0:
			o.Nodes["step:"+name], o.Edges["ok:"+name] = Mark{Class: "done"}, Mark{Class: "lit"}
		case step.Does == saga.Tells && sent["step:"+name] > 0:
			o.Edges["ok:"+name] = Mark{Class: "lit"}
		}
	}
	for name, n := range edges {
		o.Edges[name] = Mark{Class: "lit", Note: count(n) + " ×"}
	}
	for name, n := range nodes {
		o.Nodes[name] = Mark{Class: "done", Note: count(n) + " ×"}
	}
	for name, n := range sent {
		o.Nodes[name] = Mark{Class: "done", Note: count(n) + " sent"}
	}
	return o
}

// Uncovered are the edges that nothing has gone, in words.
func Uncovered(d saga.Description, o Overlay) []string {
	var missing []string
	say := func(edge, what string) {
		if o.Edges[edge].Class == "" {
			missing = append(missing, what)
		}
	}
	for _, stage := range d.Stages {
		for _, s := range stage {
			if s.Does == saga.Asks || s.Does == saga.Awaits {
				say("ok:"+s.Name, s.Name+": success")
			}
			if len(s.Failure) > 0 {
				say("fail:"+s.Name, s.Name+": refused")
			}
			if s.GiveUp != "" {
				say("lost:"+s.Name, s.Name+": given up")
			}
			if s.Undo != nil && o.Nodes["undo:"+s.Name].Class == "" {
				missing = append(missing, s.Name+": undone")
			}
		}
	}
	if d.CancelOn != "" {
		say("cancel", "cancelled after completion")
	}
	return missing
}
