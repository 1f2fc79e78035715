package upgrade

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"waybill.example/sdk/saga"
)

// Kind says what would become of a saga.
type Kind string

// What can be found.
const (
	Park       Kind = "park"       // it would be suspended, or the program would not start
	Hang       Kind = "hang"       // it would never end
	Leak       Kind = "leak"       // it would end with something done that nothing takes back
	Contradict Kind = "contradict" // it would refuse, or not recognise, what comes for it
	Unreadable Kind = "unreadable" // its state, or its data, does not decode
)

// Finding is something that would become of sagas.
type Finding struct {
	Kind       Kind   `json:"kind"`
	Definition string `json:"definition"`
	Version    int    `json:"version"`
	State      string `json:"state,omitempty" doc:"The state that the sagas are in"`
	Step       string `json:"step,omitempty"`
	What       string `json:"what"`
	Path       string `json:"path,omitempty" doc:"What has to come for it to happen"`

	Sagas    int64             `json:"sagas" doc:"How many it concerns; 0: none that is open"`
	Examples *[examples]string `json:"-"`
}

// examples is how many sagas a finding names.
const examples = 5

// Report is what was found.
type Report struct {
	Sagas      int64   `json:"sagas" doc:"Open sagas that were read"`
	Classes    int     `json:"classes" doc:"Of different shape"`
	States     int     `json:"states" doc:"Distinct states of their futures that were explored"`
	Unexplored int64   `json:"unexplored,omitzero" doc:"Sagas of further classes, whose futures were not explored"`
	Took       string  `json:"took"`
	Findings   []Found `json:"findings" nullable:"false"`
}

// Found is a finding with some of the sagas that it concerns.
type Found struct {
	Finding
	Examples []string `json:"examples,omitempty"`
}

// add counts a saga that a finding concerns.
func (c *check) add(s saga.State, f Finding) {
	f.Definition, f.Version, f.State = s.Definition, s.Version, string(s.Phase)
	one, known := c.found[f]
	if !known {
		if len(c.order) >= maxFindings {
			return
		}
		kept := f
		kept.Examples = &[examples]string{}
		one = &kept
		c.found[f], c.order = one, append(c.order, one)
	}
	if one.Sagas < examples {
		one.Examples[one.Sagas] = s.ID
	}
	one.Sagas++
}

// maxFindings bounds how many different things are reported.
const maxFindings = 1000

func (c *check) report(took time.Duration) Report {
	r := Report{
		Sagas: c.sagas, Classes: len(c.classes), States: c.states, Unexplored: c.skipped,
		Took: took.Round(time.Millisecond).String(), Findings: []Found{},
	}
	list := c.withUnconcerned()
	slices.SortStableFunc(list, func(a, b *Finding) int {
		return cmp.Or(strings.Compare(a.Definition, b.Definition), a.Version-b.Version, cmp.Compare(b.Sagas, a.Sagas), strings.Compare(a.What, b.What))
	})
	for _, f := range list {
		found := Found{Finding: *f}
		if f.Examples != nil {
			found.Examples = slices.DeleteFunc(slices.Clone(f.Examples[:]), func(id string) bool { return id == "" })
		}
		r.Findings = append(r.Findings, found)
	}
	return r
}

// withUnconcerned adds the changes of versions that concern no open saga.
func (c *check) withUnconcerned() []*Finding {
	list := slices.Clone(c.order)
	for v, changes := range c.changed {
		for _, one := range changes {
			concerns := func(f *Finding) bool {
				return f.Definition == v.name && f.Version == v.number && strings.HasPrefix(f.What, one.what)
			}
			if !slices.ContainsFunc(c.order, concerns) {
				list = append(list, &Finding{Kind: Park, Definition: v.name, Version: v.number, Step: one.step, What: one.what})
			}
		}
	}
	return list
}

func joined(path []string) string { return strings.Join(path, ", ") }
