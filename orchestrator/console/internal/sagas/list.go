package sagas

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"waybill.example/orchestrator/console/internal/page"
	"waybill.example/orchestrator/console/internal/source"
	"waybill.example/orchestrator/httpapi"
	"waybill.example/sdk/saga"
	"waybill.example/sdk/saga/runner/inspect"
)

// listEvery is how often the list looks: what it says of a saga has times in it, so it is another
// one each time.
const listEvery = 5 * time.Second

// filter is what of a URL chooses sagas; all of it is text, as it was typed.
type filter struct {
	State, Definition, Step, Attempt, OlderThan, Attr string
	Overdue, Stuck                                    bool
	Sagas                                             []string // definition/id; of a batch
}

func filterOf(q url.Values) filter {
	return filter{
		State: q.Get("state"), Definition: q.Get("definition"), Step: q.Get("step"), Attempt: q.Get("attempt"), OlderThan: q.Get("olderThan"),
		Attr: q.Get("attr"), Overdue: q.Get("overdue") != "", Stuck: q.Get("stuck") != "", Sagas: q["saga"],
	}
}

// Any reports whether it leaves any saga out.
func (f filter) Any() bool { return len(f.query()) > 0 || len(f.Sagas) > 0 }

// Words are the conditions, for people.
func (f filter) Words() string {
	var words []string
	for _, pair := range []struct{ name, value string }{
		{"state", f.State}, {"definition", f.Definition}, {"waits for", f.Step}, {"attempt from", f.Attempt}, {"older than", f.OlderThan}, {"attribute", f.Attr},
	} {
		if pair.value != "" {
			words = append(words, pair.name+" "+pair.value)
		}
	}
	if f.Overdue {
		words = append(words, "overdue")
	}
	if f.Stuck {
		words = append(words, "needing a person")
	}
	return strings.Join(words, ", ")
}

// name and version are those of the definition: order, or order@1.
func (f filter) name() (name, version string) {
	name, version, _ = strings.Cut(f.Definition, "@")
	return name, version
}

// query is the filter as the API takes it.
func (f filter) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	name, version := f.name()
	set("state", f.State)
	set("definition", name)
	set("version", version)
	set("step", f.Step)
	set("attempt", f.Attempt)
	set("olderThan", f.OlderThan)
	set("attr", f.Attr)
	if f.Overdue {
		q.Set("overdue", "true")
	}
	if f.Stuck {
		q.Set("stuck", "true")
	}
	return q
}

// listed is the page of the list.
type listed struct {
	Sagas      []httpapi.SagaLine `json:"sagas"`
	Next       string             `json:"next,omitempty"`
	SearchedTo *time.Time         `json:"searchedTo,omitempty"`
	Tabs       []tab              `json:"-"`
	Filter     filter             `json:"-"`
	Choices    choices            `json:"-"`
	// Refused is what is wrong with the filter.
	Refused string `json:"refused,omitempty"`
	// Batch is the query of the page that intervenes in all that match.
	Batch string `json:"-"`
}

// tab is a filter that is worth a click.
type tab struct {
	Name    string
	Count   int64
	Counted bool
	Query   string // the query of its URL
	Current bool
}

func (x *screen) list(ctx context.Context, r *page.Request) (any, error) {
	f := filterOf(r.URL.Query())
	l := listed{Filter: f, Batch: f.batchQuery()}
	q := f.query()
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		q.Set("cursor", cursor)
	}
	var err error
	var stats inspect.Stats
	var definitions []saga.Description
	var asking sync.WaitGroup
	asking.Go(func() {
		var answer listed
		answer, err = source.Get[listed](ctx, x.sources.Orchestrator, "/v1/sagas?"+q.Encode())
		l.Sagas, l.Next, l.SearchedTo = answer.Sagas, answer.Next, answer.SearchedTo
	})
	asking.Go(func() { stats, _ = source.Get[inspect.Stats](ctx, x.sources.Orchestrator, "/v1/stats?window=1m") })
	asking.Go(func() { definitions, _ = x.definitions(ctx) })
	asking.Wait()
	if reason, refused := refusal(err); refused {
		l.Refused, err = reason, nil // the form stays, to be put right
	}
	for i := range l.Sagas {
		l.Sagas[i] = seen(r, l.Sagas[i])
	}
	l.Tabs, l.Choices = tabs(f, stats), choicesOf(definitions, f)
	return l, err
}

// definitions are all that the orchestrator knows.
func (x *screen) definitions(ctx context.Context) ([]saga.Description, error) {
	answer, err := source.Get[struct{ Definitions []saga.Description }](ctx, x.sources.Orchestrator, "/v1/definitions")
	return answer.Definitions, err
}

// seen is a line of the list as the reader may see it.
func seen(r *page.Request, line httpapi.SagaLine) httpapi.SagaLine {
	line.Says, line.Reason = withoutReason(r, line.Says, line.Reason), r.Text(line.Reason)
	line.Attributes = masked(r, line.Attributes)
	return line
}

// masked hides the values of attributes, which are part of what a saga carries.
func masked(r *page.Request, attributes map[string]string) map[string]string {
	for name, value := range attributes {
		attributes[name] = r.Text(value)
	}
	return attributes
}

// tabs are the filters that an operator looks at first.
func tabs(now filter, stats inspect.Stats) []tab {
	count := map[string]int64{}
	var overdue int64
	for _, s := range stats.Open {
		count[s.State] += s.Count
		overdue += s.Overdue
	}
	all := []tab{
		{Name: "All"},
		{Name: "Running", Query: "state=RUNNING", Count: count["RUNNING"], Counted: true},
		{Name: "Compensating", Query: "state=COMPENSATING", Count: count["COMPENSATING"], Counted: true},
		{Name: "Needs a person", Query: "stuck=true", Count: count["COMPENSATION_STUCK"] + count["SUSPENDED"], Counted: true},
		{Name: "Overdue", Query: "overdue=true", Count: overdue, Counted: true},
		{Name: "Asked again", Query: "attempt=2"},
	}
	for i := range all {
		q, _ := url.ParseQuery(all[i].Query) // our own
		all[i].Current = filterOf(q).query().Encode() == now.query().Encode()
	}
	return all
}

// choices are what the filter's lists offer.
type choices struct{ States, Definitions, Steps []string }

func choicesOf(definitions []saga.Description, f filter) choices {
	c := choices{States: []string{"RUNNING", "COMPENSATING", "COMPENSATION_STUCK", "SUSPENDED", "AWAITING_START", "NOT_STARTED"}}
	add := func(to *[]string, one string) {
		if one != "" && !slices.Contains(*to, one) {
			*to = append(*to, one)
		}
	}
	for _, d := range definitions {
		add(&c.States, d.Completed)
		add(&c.States, d.Cancelled)
		add(&c.Definitions, d.Name)
		add(&c.Definitions, d.Name+"@"+strconv.Itoa(d.Version))
		for _, stage := range d.Stages {
			for _, s := range stage {
				add(&c.Steps, s.Name)
			}
		}
	}
	add(&c.States, f.State)
	add(&c.Definitions, f.Definition)
	add(&c.Steps, f.Step)
	return c
}
