package deadletters

import (
	"cmp"
	"context"
	"slices"
	"strings"

	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
)

// letter is a dead letter in a list.
type letter struct {
	Service string `json:"service"`
	api.DeadLetter
}

type listPage struct {
	Letters []letter `json:"deadLetters"`
	// Service is the one that they are of; empty: all. Next is the cursor of its next page; the
	// newest of all services have no next page.
	Service string   `json:"service,omitempty"`
	Next    string   `json:"next,omitempty"`
	More    bool     `json:"more,omitzero"` // there are more of some service
	Known   []string `json:"-"`
	Filter  string   `json:"-"` // the query of the filter, for the form of a job
}

type listAnswer struct {
	DeadLetters []api.DeadLetter `json:"deadLetters"`
	Next        string           `json:"next"`
}

func (s screen) list(ctx context.Context, r *page.Request) (any, error) {
	if err := mayFilter(r); err != nil {
		return nil, err
	}
	asked := r.URL.Query()
	services := s.chosen(r)
	if len(services) == 0 {
		return nil, page.Invalid("no service " + asked.Get("service") + " with dead letters is configured")
	}
	answers, err := each[listAnswer](ctx, services, "/v1/dead-letters"+filter(asked.Get, "cursor", asked.Get("cursor")))
	if err != nil {
		return nil, err
	}
	p := newList(r, answers)
	if p.Service = asked.Get("service"); p.Service == "" {
		p.More, p.Next = p.Next != "", ""
	}
	for _, c := range s.services() {
		p.Known = append(p.Known, c.Name())
	}
	p.Filter = strings.TrimPrefix(filter(asked.Get), "?")
	return p, nil
}

// newList puts the lists of all services together, newest first, as the reader may see them.
func newList(r *page.Request, answers map[string]listAnswer) listPage {
	p := listPage{Letters: []letter{}}
	for service, answer := range answers {
		for _, l := range answer.DeadLetters {
			p.Letters = append(p.Letters, letter{service, masked(r, l)})
		}
		p.Next = cmp.Or(p.Next, answer.Next)
	}
	slices.SortFunc(p.Letters, func(a, b letter) int {
		return cmp.Or(b.SetAsideAt.Compare(a.SetAsideAt), cmp.Compare(a.Service, b.Service), cmp.Compare(b.ID, a.ID))
	})
	return p
}

// masked hides what not everybody may see. A reason may quote what the message holds; a cause does
// not.
func masked(r *page.Request, l api.DeadLetter) api.DeadLetter {
	l.Key, l.Reason = r.Text(l.Key), r.Text(l.Reason)
	return l
}
