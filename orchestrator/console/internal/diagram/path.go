package diagram

import (
	"fmt"
	"slices"
	"time"

	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// classes of what a step has come to.
var classes = map[string]string{
	string(saga.Waiting): "waiting", string(saga.Done): "done", string(saga.Assumed): "done", string(saga.Failed): "failed",
	string(saga.GivenUp): "failed", string(saga.Undoing): "done", string(saga.Undone): "done", string(saga.Abandoned): "done",
}

// Of is the path that one saga took, with the time of each edge. dur writes a time for people, and
// anchor names the place of a transition on the page.
func Of(d saga.Description, s httpapi.Detail, dur func(time.Duration) string, anchor func(seq int) string) Overlay {
	o := Overlay{Nodes: map[string]Mark{}, Edges: map[string]Mark{}}
	steps := map[string]saga.StepDescription{}
	for _, stage := range d.Stages {
		for _, one := range stage {
			steps[one.Name] = one
		}
	}
	for _, one := range s.Steps {
		p := pathStep{one, steps[one.Name], s.Timeline, dur, anchor}
		p.mark(o)
	}
	if len(s.Timeline) > 0 {
		o.Nodes["start"] = Mark{Class: "done", Link: anchor(s.Timeline[0].Seq)}
		o.Edges["start"] = Mark{Class: "lit"}
	}
	for _, l := range s.Timeline {
		switch {
		case l.To == d.Completed && l.From != l.To:
			o.Nodes["completed"] = Mark{Class: "done", Note: dur(l.At.Sub(s.StartedAt)), Link: anchor(l.Seq)}
		case l.To == d.Cancelled && l.From != l.To:
			o.Nodes["cancelled"] = Mark{Class: "failed", Note: dur(l.At.Sub(s.StartedAt)), Link: anchor(l.Seq)}
		case l.From == d.Completed && l.To != l.From:
			o.Edges["cancel"] = Mark{Class: "lit", Link: anchor(l.Seq)}
		}
	}
	return o
}

// pathStep is one step of a saga, and what its history says of it.
type pathStep struct {
	httpapi.StepDetail

	is     saga.StepDescription
	lines  []inspect.Line
	dur    func(time.Duration) string
	anchor func(int) string
}

func (p pathStep) mark(o Overlay) {
	class := classes[p.Status]
	if class == "" {
		return
	}
	node := Mark{Class: class, Note: p.note()}
	sentAt, sent := p.sentAt(false)
	if sent.Seq > 0 {
		node.Link = p.anchor(sent.Seq)
	}
	o.Nodes["step:"+p.Name] = node
	if p.is.Does == saga.DoesNothing || p.is.Does == saga.Tells {
		o.Edges["ok:"+p.Name] = Mark{Class: "lit"}
	}
	for _, l := range p.lines {
		if l.Step != p.Name {
			continue
		}
		took := ""
		if !sentAt.IsZero() {
			took = p.dur(l.At.Sub(sentAt))
		}
		m := Mark{Class: "lit", Note: took, Link: p.anchor(l.Seq)}
		switch {
		case slices.Contains(p.is.Success, l.CauseType), l.Kind == string(saga.TimePassed):
			o.Edges["ok:"+p.Name] = m
		case slices.Contains(p.is.Failure, l.CauseType):
			o.Edges["fail:"+p.Name] = m
		case l.Kind == string(saga.TimedOut) && l.From == string(saga.Running) && l.To != l.From:
			o.Edges["lost:"+p.Name] = m
		case l.Kind == string(saga.Intervened) && p.Status == string(saga.Done) && l.From == l.To:
			o.Edges["ok:"+p.Name] = m
		}
	}
	p.markUndo(o)
}

// markUndo marks what became of the step's compensation.
func (p pathStep) markUndo(o Overlay) {
	class := map[string]string{string(saga.Undoing): "waiting", string(saga.Undone): "undone", string(saga.Abandoned): "undone"}[p.Status]
	if class == "" {
		return
	}
	m := Mark{Class: class, Note: p.Status}
	if p.Undos > 1 {
		m.Note += fmt.Sprintf(" × %d", p.Undos)
	}
	at, sent := p.sentAt(true)
	for _, l := range p.lines {
		if sent.Seq > 0 && l.Step == p.Name && p.is.Undo != nil && l.CauseType == p.is.Undo.Reply {
			m.Note, m.Link = p.dur(l.At.Sub(at)), p.anchor(l.Seq)
		}
	}
	if m.Link == "" && sent.Seq > 0 {
		m.Link = p.anchor(sent.Seq)
	}
	o.Nodes["undo:"+p.Name] = m
}

// sentAt is when the step's command, or its undo, was first sent, and the transition that sent it.
func (p pathStep) sentAt(undo bool) (time.Time, inspect.Line) {
	for _, l := range p.lines {
		for _, c := range l.Commands {
			if c.Step == p.Name && c.Undo == undo {
				return l.At, l
			}
		}
	}
	return time.Time{}, inspect.Line{}
}

func (p pathStep) note() string {
	switch {
	case p.Status == string(saga.Waiting) && p.Attempts > 0 && p.is.Attempts > 0:
		return fmt.Sprintf("waits, attempt %d of %d", p.Attempts, p.is.Attempts)
	case p.Status == string(saga.Waiting) && p.Attempts > 1:
		return fmt.Sprintf("waits, attempt %d", p.Attempts)
	case p.Status == string(saga.Waiting):
		return "waits"
	case p.Status == string(saga.Failed):
		return "refused"
	case p.Status == string(saga.GivenUp):
		return "given up"
	case p.Attempts > 1:
		return fmt.Sprintf("%d attempts", p.Attempts)
	}
	return ""
}
