package deadletters

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"slices"

	api "waybill.example/chassis/deadletters"
	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/spark"
)

// group is dead letters of one cause in one service.
type group struct {
	Service string `json:"service"`
	api.DeadLetterGroup
}

// Query is the filter that chooses its members.
func (g group) Query() string {
	return query("service", g.Service, "topic", g.Topic, "type", g.Type, "cause", g.Cause)
}

// Spark is when they were set aside, over the last day.
func (g group) Spark() template.HTML {
	total := int64(0)
	for _, n := range g.Hourly {
		total += n
	}
	return spark.Bars(g.Hourly, fmt.Sprintf("%d in the last %d hours", total, len(g.Hourly)), func(i int) string {
		return fmt.Sprintf("%d h ago", len(g.Hourly)-1-i)
	})
}

type groupsPage struct {
	Groups   []group  `json:"groups"`
	Letters  int64    `json:"letters"`
	Waiting  int64    `json:"waiting"`
	Recent   int64    `json:"lastHour"`
	Services []string `json:"services"` // those that answered
	Known    []string `json:"-"`        // all that can be chosen
}

type groupsAnswer struct {
	Groups []api.DeadLetterGroup `json:"groups"`
}

func (s screen) groups(ctx context.Context, r *page.Request) (any, error) {
	if err := mayFilter(r); err != nil {
		return nil, err
	}
	answers, err := each[groupsAnswer](ctx, s.chosen(r), "/v1/dead-letters/groups"+filter(r.URL.Query().Get))
	if err != nil {
		return nil, err
	}
	p := newGroups(answers)
	for _, c := range s.services() {
		p.Known = append(p.Known, c.Name())
	}
	return p, nil
}

// newGroups puts the groups of all services together, the largest first.
func newGroups(answers map[string]groupsAnswer) groupsPage {
	p := groupsPage{Groups: []group{}, Services: []string{}}
	for service, answer := range answers {
		p.Services = append(p.Services, service)
		for _, g := range answer.Groups {
			p.Groups = append(p.Groups, group{service, g})
			p.Letters += g.Count
			p.Waiting += g.Waiting
			if n := len(g.Hourly); n > 0 {
				p.Recent += g.Hourly[n-1]
			}
		}
	}
	slices.Sort(p.Services)
	slices.SortFunc(p.Groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Cause, b.Cause))
	})
	return p
}
